import { beforeEach, describe, expect, it } from '@jest/globals';
import { duplexPair } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { Grant } from '../../../../src/gateway/admission/admission.ts';
import { Clients } from '../../../../src/gateway/client/clients.ts';
import { HalfOpen, HalfOpenSlot } from '../../../../src/gateway/client/half-open.ts';
import type { TenantRef } from '../../../../src/gateway/model.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { RawClient } from '../../../support/raw-client.ts';

let clock: FakeClock;
let clients: Clients;
let halfOpen: HalfOpen;
let changed: (tenant: TenantRef) => void;
let busy: Set<number>;
let reasons: string[];
let rechecked: string[];
let listeners: number;

beforeEach(() => {
  clock = new FakeClock();
  halfOpen = new HalfOpen({ total: 3, perAddress: 2, bytes: 10_000 });
  [busy, reasons, rechecked, listeners] = [new Set(), [], [], 0];
  const grant = (name: string): Grant => ({
    identity: { tenant: { namespace: 'team', name }, user: undefined, credential: 'Binding', expiresAt: undefined },
    recheck: () => {
      rechecked.push(name);
      return name === 'gone' ? { denied: 'UnknownTenant', message: 'gone' } : grant(name);
    },
  });
  clients = new Clients({
    admission: { decide: (token) => grant(String(token)) },
    relay: {
      sessions: () => [],
      servers: () => [],
      attach: ({ id }) => ({
        frame: () => undefined,
        drained: () => undefined,
        work: { calls: 0, sessions: 0 },
        get isBusy() {
          return busy.has(id);
        },
        closed: () => undefined,
      }),
    },
    fleet: {
      onChange: (listener) => {
        changed = listener;
        listeners += 1;
        return () => (listeners -= 1);
      },
    },
    clock,
    random: () => 0.5,
    halfOpen,
    maxClients: 100,
    maxPerTenant: 10,
    maxUnreadBytes: 1_000_000,
    keepaliveMs: 40_000,
    observer: {
      admitted: () => undefined,
      denied: () => undefined,
      closed: (_, { reason }) => void reasons.push(reason),
      received: () => undefined,
      receivedFrame: () => undefined,
      sent: () => undefined,
      oversize: () => undefined,
    },
  });
});

async function carry(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
}

/** Opens a connection; with a tenant, it is admitted to that. */
async function open(tenant?: string, address = '10.0.0.9'): Promise<RawClient> {
  const [here, there] = duplexPair();
  const slot = new HalfOpenSlot(address, () => here.destroy());
  halfOpen.add(slot);
  clients.open(here, `${address}:1`, slot);
  const client = new RawClient(there);
  if (tenant !== undefined) client.connect(tenant);
  await carry();
  return client;
}

async function pass(ms: number): Promise<void> {
  await clock.advance(ms);
  await carry();
}

describe('the clients of a process', () => {
  it('are counted by state, and take no place among strangers once they are admitted', async () => {
    for (let n = 0; n < 10; n += 1) await open('acme');
    await open();
    expect(Object.fromEntries(clients.count())).toEqual({ Relaying: 10, Greeting: 1 });
    expect(halfOpen.size).toBe(1);
  });

  it('are listed, admitted or not, until they are gone', async () => {
    const admitted = await open('acme');
    await open();
    const listed = clients.list();
    expect(listed.map(({ id, state, identity }) => [id, state, identity?.tenant.name])).toEqual([
      [1, 'Relaying', 'acme'],
      [2, 'Greeting', undefined],
    ]);
    admitted.stream.end();
    await carry();
    expect(clients.list().map(({ id }) => id)).toEqual([2]);
  });

  it('are as many of one tenant as it may have, and then one for each that leaves; others are not touched', async () => {
    const first = await open('acme');
    for (let n = 1; n < 10; n += 1) await open('acme');
    expect((await open('acme')).isClosed).toBe(true);
    expect(reasons).toEqual(['TenantFull']);
    expect((await open('other')).isClosed).toBe(false);
    first.stream.end();
    await carry();
    expect((await open('acme')).isClosed).toBe(false);
    expect((await open('acme')).isClosed).toBe(true);
    expect(reasons).toEqual(['TenantFull', 'ClientClosed', 'TenantFull']);
  });

  it('are sent a message when they heard nothing in a keepalive interval, strangers are not', async () => {
    const [silent, busy, stranger] = [await open('acme'), await open('acme'), await open()];
    const kept = ({ received }: RawClient) => received.filter(({ method }) => method === '$/keepalive').length;
    await pass(20_000);
    expect([silent, busy].map(kept)).toEqual([0, 0]);
    for (let n = 0; n < 3; n += 1) {
      busy.connect('acme', `again ${n}`);
      await pass(20_000);
    }
    expect([silent, busy, stranger].map(kept)).toEqual([3, 0, 0]);
  });

  it('make room among strangers: the oldest of the same address goes', async () => {
    const [first, second, third] = [await open(), await open(), await open()];
    expect([first, second, third].map(({ isClosed }) => isClosed)).toEqual([true, false, false]);
    expect(reasons).toEqual(['Crowded']);
  });

  it('are looked at again when their tenant changes, and those of others are not', async () => {
    const [acme, gone] = [await open('acme'), await open('gone')];
    changed({ namespace: 'team', name: 'acme' });
    changed({ namespace: 'other', name: 'gone' });
    await carry();
    expect([rechecked, acme.isClosed, gone.isClosed]).toEqual([['acme'], false, false]);
    changed({ namespace: 'team', name: 'gone' });
    await carry();
    expect([gone.isClosed, reasons]).toEqual([true, ['CredentialRevoked']]);
    changed({ namespace: 'team', name: 'gone' });
    expect(rechecked).toEqual(['acme', 'gone']);
  });
});

describe('a process that stops', () => {
  it('waits for its clients to leave, closes strangers at once, and takes nobody whose handshake was under way', async () => {
    const [client, stranger] = [await open('acme'), await open()];
    let isDrained = false;
    const drained = clients.drain({ leaveMs: 60_000, closeMs: 10_000 }).then(() => (isDrained = true));
    await carry();
    expect([client.isClosed, stranger.isClosed]).toEqual([false, true]);
    expect((await open()).isClosed).toBe(true);
    await pass(59_000);
    expect([client.isClosed, isDrained]).toEqual([false, false]);
    client.stream.end();
    await pass(1_000);
    await drained;
    expect(reasons.toSorted()).toEqual(['ClientClosed', 'Drained', 'Drained']);
    expect(listeners).toBe(0);
  });

  it('then closes those of which nothing is under way, spread over time, and the others at the end', async () => {
    const [idle, working, stuck] = [await open('acme'), await open('acme'), await open('acme')];
    busy = new Set([2, 3]);
    const drained = clients.drain({ leaveMs: 60_000, closeMs: 10_000 });
    await pass(62_000);
    expect(idle.isClosed).toBe(false);
    await pass(1_000);
    expect([idle.isClosed, working.isClosed]).toEqual([true, false]);
    busy.delete(2);
    await pass(1_000);
    expect([working.isClosed, stuck.isClosed]).toEqual([true, false]);
    await pass(7_000);
    expect(stuck.isClosed).toBe(true);
    await pass(1_000);
    await drained;
    expect(reasons).toEqual(['Drained', 'Drained', 'DrainDeadline']);
  });

  it('ends at once when it is told to', async () => {
    const client = await open('acme');
    const drained = clients.drain({ leaveMs: 60_000, closeMs: 10_000 });
    clients.closeAll();
    await pass(1_500);
    await drained;
    expect(client.isClosed).toBe(true);
  });
});
