// Another process may lead soon after the deadline of the Lease: what is removed through a server obeys it, as every write does.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';
import { pino } from 'pino';
import { LeaderElector } from '../../../src/kube/runtime/leader-election.ts';
import { Metrics } from '../../../src/kube/runtime/metrics.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { StoredLabel } from '../../../src/session/decisions/labels.ts';
import type { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer, type Received } from '../../support/fake-network.ts';
import { FakeSessions } from '../../support/fake-session-server.ts';
import { serverTarget } from '../../support/servers.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

const SECOND = 1000;
const MINUTE = 60 * SECOND;

let api: TenantApi;
let world: SessionWorld & AsyncDisposable;
let elector: LeaderElector;
let server: FakeServer;
let sessions: FakeSessions;
let servers: ServerRegistry;

beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const stop = new AbortController().signal;
/** How often the session was closed and deleted on its server. */
const removals = () => [server.calls('sessions.close'), server.calls('session.delete')];

/** The process leads, and the survey knows the server, which has the session `alpha`. */
async function lead(): Promise<void> {
  await elector.acquire(stop);
  const startedAt = world.clock.now() - MINUTE;
  servers.set(serverTarget({ key: world.server(), startedAt }));
  await world.advance(SECOND, SECOND);
}

beforeEach(async () => {
  const network = new FakeNetwork();
  server = network.add('acme-0');
  const survey = (clock: FakeClock): Survey => {
    sessions = new FakeSessions(server, clock);
    servers = new ServerRegistry({ clock, random: () => 0.5, dial: network.dial });
    return new Survey({
      servers,
      labelKeys: Object.values(StoredLabel),
      log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
      writeGate: () => elector.writeGate(),
    });
  };
  world = await SessionWorld.open(api.kubeconfig, undefined, survey);
  elector = new LeaderElector({
    client: world.client,
    clock: world.clock,
    random: () => 0.5,
    log: pino({ level: 'silent' }),
    metrics: new Metrics(),
    namespace: world.namespace,
    name: 'operator',
    identity: 'this-process',
  });
  await world.createTenant();
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  servers.close();
});

/** The deletion of `alpha` waits for its server to end the turn. Returns what has the server answer. */
async function startRemoval(): Promise<() => void> {
  const close = server.answers['sessions.close'];
  let asked: Received | undefined;
  server.answers['sessions.close'] = (request) => void (asked = request);
  await world.createSession();
  sessions.prompt('alpha');
  await world.advance(5 * SECOND, SECOND);
  await world.delete(CopilotSession, 'alpha');
  await world.sync();
  await waitFor('the server is asked to end the turn', () => asked !== undefined);
  return () => {
    server.answers['sessions.close'] = close ?? (() => undefined);
    server.send({ jsonrpc: '2.0', id: asked?.id, ...close?.(asked ?? {}) });
  };
}

it('a removal that is under way at the deadline goes no further, and none starts until the Lease is renewed', async () => {
  await lead();
  const answer = await startRemoval();
  // Less than the server may take to answer.
  await world.clock.advance(9 * SECOND);
  expect(elector.isLeader()).toBe(false);
  answer();
  await world.settle();
  await world.advance(MINUTE);
  expect(removals()).toEqual([1, 0]);
  expect(await world.get(CopilotSession, 'alpha')).toBeDefined();

  expect(await elector.acquire(stop)).toBe(true);
  await world.clock.advance(5 * SECOND);
  await world.settle();
  expect(removals()).toEqual([1, 1]);
  expect(await world.get(CopilotSession, 'alpha')).toBeUndefined();
});

it('a session does not expire after the deadline', async () => {
  await lead();
  await world.createSession({ ttl: '1m' });
  sessions.turn('alpha');
  await world.advance(5 * SECOND, SECOND);
  expect(await world.condition('Ready')).toBe('True SessionIdle');
  await world.advance(3 * MINUTE);
  expect(removals()).toEqual([0, 0]);
  expect((await world.status()).phase).not.toBe('Expired');

  // In steps that are shorter than the Lease is held without a renewal.
  await waitFor('it is deleted on its server', async () => {
    await elector.acquire(stop);
    await world.advance(5 * SECOND, SECOND);
    return removals()[1] === 1;
  });
  expect(removals()).toEqual([0, 1]);
  expect((await world.status()).phase).toBe('Expired');
});

it('a process that no longer leads does not wait for its server', async () => {
  await lead();
  await startRemoval();
  await world[Symbol.asyncDispose]();
  expect(removals()).toEqual([1, 0]);
});
