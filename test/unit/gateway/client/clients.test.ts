import { beforeEach, describe, expect, it } from '@jest/globals';
import { duplexPair } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { Grant } from '../../../../src/gateway/admission/admission.ts';
import { Clients } from '../../../../src/gateway/client/clients.ts';
import { HalfOpen, HalfOpenSlot } from '../../../../src/gateway/client/half-open.ts';
import type { GatewayTenant, TenantRates, TenantRef } from '../../../../src/gateway/model.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { RawClient } from '../../../support/raw-client.ts';

const KNOWN: Omit<GatewayTenant, 'namespace' | 'name'> = {
  uid: 'uid',
  access: 'Gateway',
  isolation: 'Dedicated',
  credentials: [],
  servers: [],
};

const FRAME_BYTES = 10_000;

let clock: FakeClock;
let clients: Clients;
let halfOpen: HalfOpen;
let changed: (tenant: TenantRef) => void;
let busy: Set<number | string>;
let reasons: string[];
let rechecked: string[];
let listeners: number;

/** Frames that the relay got. */
let taken: number;
/** How often memory was given back. */
let given: number;
/** Which rates were exceeded. */
let exceeded: string[];
/** Those of every tenant. */
let rates: TenantRates | undefined;
/** Names of the tenants that are paused. */
let paused: Set<string>;

beforeEach(() => {
  paused = new Set();
  [exceeded, rates, taken, given] = [[], undefined, 0, 0];
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
      wakes: () => [],
      uses: () => ({ upMs: 0, idle: [], heldTurns: [], places: [] }),
      servers: () => [],
      drains: () => [],
      attach: ({ id }) => ({
        frame: () => void (taken += 1),
        drained: () => undefined,
        work: { calls: 0, sessions: 0 },
        get isBusy() {
          return busy.has(id);
        },
        closed: () => undefined,
      }),
    },
    fleet: {
      find: ({ namespace, name }) => ({ ...KNOWN, namespace, name, rates }),
      onChange: (listener) => {
        changed = listener;
        listeners += 1;
        return () => (listeners -= 1);
      },
    },
    clock,
    random: () => 0.5,
    halfOpen,
    pauses: { isPaused: ({ name }) => paused.has(name) },
    maxClients: 100,
    maxPerTenant: 10,
    maxUnreadBytes: 1_000_000,
    limits: { frameBytes: FRAME_BYTES },
    keepaliveMs: 40_000,
    giveBackMemory: () => (given += 1),
    observer: {
      admitted: () => undefined,
      denied: () => undefined,
      closed: (_, { reason }) => void reasons.push(reason),
      received: () => undefined,
      receivedFrame: () => undefined,
      sent: () => undefined,
      oversize: () => undefined,
      rateExceeded: (rule) => void exceeded.push(rule),
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

  it('are told to try again later while their tenant is paused, and those that are connected stay', async () => {
    const before = await open('acme');
    paused.add('acme');
    const client = await open('acme');
    expect(client.received[0]?.error).toMatchObject({ message: expect.stringContaining('team/acme is paused') });
    expect([before.isClosed, client.isClosed]).toEqual([false, true]);
    expect((await open('other')).isClosed).toBe(false);
    expect(reasons).toEqual(['TenantPaused']);
  });

  it('that connect faster than they may are told when to try again', async () => {
    rates = { tenant: { connectionsPerMinute: 2 } };
    for (let n = 0; n < 2; n += 1) expect((await open('acme')).isClosed).toBe(false);
    const client = await open('acme');
    expect(client.received[0]?.error).toEqual({
      code: -32050,
      message: expect.stringContaining('spec.rates.tenant.connectionsPerMinute'),
      data: {
        retryable: true,
        retryAfterMs: 30_000,
        outcome: 'NotSent',
        rule: 'RateLimit',
        field: 'spec.rates.tenant.connectionsPerMinute',
        limit: 2,
      },
    });
    expect(client.isClosed).toBe(true);
    expect([reasons, exceeded]).toEqual([['RateLimit'], ['TenantConnections']]);
    await pass(30_000);
    expect((await open('acme')).isClosed).toBe(false);
  });

  it('that send faster than they may get an error for each call, and stay', async () => {
    rates = { tenant: { framesPerSecond: 1 } };
    const client = await open('acme');
    for (let id = 10; id < 22; id += 1) client.send({ id, method: 'session.list' });
    client.send({ id: 30, result: {} });
    await carry();
    expect(client.received.filter(({ error }) => error !== undefined).map(({ id }) => id)).toEqual([20, 21]);
    expect(taken).toBe(11);
    expect([client.isClosed, exceeded]).toEqual([false, ['TenantFrames', 'TenantFrames']]);
  });

  it('that present their token again and again are limited as by any other call', async () => {
    rates = { tenant: { framesPerSecond: 1 } };
    const client = await open('acme');
    for (let n = 0; n < 12; n += 1) client.connect('acme', `again ${n}`);
    await carry();
    expect(client.received.filter(({ error }) => error !== undefined).map(({ id }) => id)).toEqual([
      'again 10',
      'again 11',
    ]);
    expect([client.isClosed, exceeded]).toEqual([false, ['TenantFrames', 'TenantFrames']]);
  });

  it('that send frames that are too large, or that nobody needs, do not lock the others out for long', async () => {
    rates = { tenant: { framesPerSecond: 1 } };
    const [client, other] = [await open('acme'), await open('acme')];
    const tooLarge = { id: 9, method: 'session.send', params: { text: 'x'.repeat(FRAME_BYTES) } };
    for (let n = 0; n < 11; n += 1) client.send(tooLarge);
    await carry();
    other.send({ id: 10, method: 'session.list' });
    await carry();
    for (let n = 0; n < 1000; n += 1) client.send({ method: 'nothing' });
    await carry();
    await pass(2000);
    other.send({ id: 11, method: 'session.list' });
    await carry();
    const refused = other.received.filter(({ error }) => error !== undefined);
    expect(refused.map(({ id }) => id)).toEqual([10]);
    expect(exceeded).toEqual(['TenantFrames']);
  });

  it('of one tenant are closed when it is kicked, and may come back', async () => {
    const [first, second, other] = [await open('acme'), await open('acme'), await open('other')];
    expect(clients.kick({ namespace: 'team', name: 'acme' })).toBe(2);
    await carry();
    expect([first, second, other].map(({ isClosed }) => isClosed)).toEqual([true, true, false]);
    expect((await open('acme')).isClosed).toBe(false);
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

  it('have their memory given back when many of them have left', async () => {
    const streams = Array.from({ length: 1_000 }, () => {
      const [here, there] = duplexPair();
      clients.open(here, '10.0.0.9:1', new HalfOpenSlot('10.0.0.9', () => here.destroy()));
      return { here, there };
    });
    for (const { here, there } of streams) {
      here.destroy();
      there.destroy();
    }
    await carry();
    expect(clients.size).toBe(0);
    expect(given).toBe(0);
    await clock.advance(11_000);
    expect(given).toBe(1);
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
    await clock.advance(100);
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
