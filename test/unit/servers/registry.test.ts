// The registry of servers, with a listener of the test's own and with the pinger and the survey.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Pinger } from '../../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import type { Server } from '../../../src/servers/server.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';
import { FakeSessions } from '../../support/fake-session-server.ts';
import { healthSettings, serverTarget } from '../../support/servers.ts';

const KEY = 'team/acme-0';
const log = { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() };
let clock: FakeClock;
let server: FakeServer;
let sessions: FakeSessions;
let servers: ServerRegistry;
let notified: string[];

beforeEach(() => {
  clock = new FakeClock();
  const network = new FakeNetwork();
  server = network.add('acme-0');
  sessions = new FakeSessions(server, clock);
  servers = new ServerRegistry({ clock, random: () => 0.5, dial: network.dial });
  notified = [];
});

function listen(): void {
  const nameOf = ({ target }: Server) => `${target.key} ${target.podUID}`;
  servers.listen({
    onAdded: (added) => notified.push(`added ${nameOf(added)}`),
    onUpdated: (updated, { moved }) => notified.push(`${moved ? 'moved' : 'updated'} ${nameOf(updated)}`),
    onRemoved: (removed) => notified.push(`removed ${nameOf(removed)}`),
  });
}

describe('a listener', () => {
  it('is notified of each server that is added, changed and removed, and of no repetition', () => {
    listen();
    servers.set(serverTarget());
    servers.set(serverTarget());
    servers.set(serverTarget({ health: healthSettings({ failureThreshold: 4 }) }));
    servers.set(serverTarget({ health: healthSettings({ failureThreshold: 4 }), host: '10.0.0.7' }));
    servers.remove(KEY);
    servers.remove(KEY);
    const name = `${KEY} uid-of-the-pod`;
    expect(notified).toEqual([`added ${name}`, `updated ${name}`, `moved ${name}`, `removed ${name}`]);
    expect(servers.get(KEY)).toBeUndefined();
  });

  it('is given the servers that are known already', () => {
    servers.set(serverTarget());
    listen();
    expect(notified).toEqual([`added ${KEY} uid-of-the-pod`]);
  });

  it('sees another pod as another server', () => {
    listen();
    servers.set(serverTarget());
    const before = servers.get(KEY);
    servers.set(serverTarget({ podUID: 'next' }));
    expect(notified.slice(1)).toEqual([`removed ${KEY} uid-of-the-pod`, `added ${KEY} next`]);
    expect(servers.get(KEY)).not.toBe(before);
  });

  it('may set a server again when it is removed', () => {
    let again = true;
    servers.listen({
      onAdded: () => undefined,
      onUpdated: () => undefined,
      onRemoved: () => {
        if (again) servers.set(serverTarget({ podUID: 'from the listener' }));
        again = false;
      },
    });
    listen();
    servers.set(serverTarget());
    servers.set(serverTarget({ podUID: 'next' }));
    expect(servers.get(KEY)?.target.podUID).toBe('next');
    expect([...servers.servers]).toHaveLength(1);
    const added = notified.filter((what) => what.startsWith('added')).length;
    expect(added - notified.filter((what) => what.startsWith('removed')).length).toBe(1);
  });
});

describe('what is known of a server', () => {
  it('is dropped with its pod', async () => {
    const pinger = new Pinger({ servers, log });
    const survey = new Survey({ servers, log, labelKeys: [] });
    sessions.turn('one');
    servers.set(serverTarget());
    await clock.advance(100);
    expect(servers.get(KEY)).toMatchObject({ version: '1.0.102', health: { state: 'Healthy' } });
    servers.set(serverTarget({ podUID: 'next' }));
    expect([pinger.get(KEY), survey.get(KEY), servers.get(KEY)?.version]).toEqual([
      { state: 'Unknown' },
      undefined,
      undefined,
    ]);
    await clock.advance(100);
    expect([pinger.get(KEY).state, survey.get(KEY)?.loaded, server.wires.size]).toEqual(['Healthy', 1, 1]);
  });

  it('is only its health, until the start time of its process is known', async () => {
    const pinger = new Pinger({ servers, log });
    const survey = new Survey({ servers, log, labelKeys: [] });
    servers.set(serverTarget({ startedAt: undefined }));
    await clock.advance(60_000);
    expect([pinger.get(KEY).state, survey.get(KEY), server.calls('sessions.list')]).toEqual(['Healthy', undefined, 0]);
    servers.set(serverTarget());
    await clock.advance(100);
    expect(survey.get(KEY)).toBeDefined();
    // A container that is being restarted has no start time.
    servers.set(serverTarget({ startedAt: undefined }));
    expect(survey.get(KEY)).toBeDefined();
    expect(server.dials).toBe(1);
  });

  it('is not polled because the health settings have changed', async () => {
    const survey = new Survey({ servers, log, labelKeys: [] });
    servers.set(serverTarget());
    await clock.advance(100);
    server.received.splice(0);
    servers.set(serverTarget({ health: healthSettings({ intervalMs: 5000 }) }));
    await clock.advance(5000);
    expect([server.received, survey.get(KEY)?.sessions.size]).toEqual([[], 0]);
  });
});
