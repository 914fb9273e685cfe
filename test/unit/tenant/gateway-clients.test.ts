import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EndpointSlice } from '../../../src/kube/types/builtins.ts';
import type { ServerPlaces, TenantCount } from '../../../src/resources/gateway-internal.ts';
import { GatewayClients } from '../../../src/tenant/gateway-clients.ts';
import { replicasOf } from '../../../src/tenant/gateway-replicas.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const [ACME, GLOBEX] = ['acme', 'globex'].map((name) => ({ namespace: 'team', name }));
const TURN = { namespace: 'team', name: 'acme', session: 's', epoch: 1, heldMs: 0 };
const count = (name: string, clients: number): TenantCount => ({ namespace: 'team', name, clients });

/** What each replica answers; an Error: it does not. */
let answers: Record<string, TenantCount[] | Error>;
/** For how long each replica knows what is used; undefined: it is of an earlier version. */
let upMs: number | undefined;
/** Users that hold a turn, by the replica. */
let held: Record<string, string[]>;
/** Where sessions are, by the replica. */
let placed: Record<string, ServerPlaces[]>;
let ready: Record<string, boolean | undefined>;
let asked: string[];
let changed: string[];
let logged: string[];
/** The replicas cannot be listed. */
let listing: Error | undefined;
let clients: GatewayClients;
let clock: FakeClock;

function sliceOf(addresses: readonly string[]): EndpointSlice {
  const endpoints = addresses.map((address) => {
    const isReady = ready[address];
    return { addresses: [address], conditions: isReady === undefined ? {} : { ready: isReady } };
  });
  const metadata = { name: 'copilot-gateway-abcde', namespace: 'operator' };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata,
    addressType: 'IPv4',
    endpoints,
    ports: [],
  };
}

beforeEach(() => {
  clock = new FakeClock();
  upMs = undefined;
  listing = undefined;
  held = {};
  placed = {};
  [answers, ready, asked, changed, logged] = [{}, {}, [], [], []];
  clients = new GatewayClients({
    client: {
      listAll: (_type, options) => {
        asked.push(`${options?.namespace} ${options?.labelSelector}`);
        if (listing) return Promise.reject(listing);
        return Promise.resolve({ items: [sliceOf(Object.keys(answers))] as never[], metadata: {} } as never);
      },
    },
    clock,
    log: { warn: (fields) => logged.push(JSON.stringify(fields)), info: (_fields, message) => logged.push(message) },
    namespace: 'operator',
    service: 'copilot-gateway',
    ask: (address) => {
      const answer = answers[address];
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve({
            tenants: answer ?? [],
            ...(upMs !== undefined && { upMs }),
            places: placed[address] ?? [],
            heldTurns: (held[address] ?? []).map((holder) => ({ ...TURN, holder })),
          });
    },
  });
  clients.onChange(({ name }) => changed.push(name));
});

const poll = () => clients.poll(new AbortController().signal);
const numbers = () => [ACME, GLOBEX].map((tenant) => tenant && clients.get(tenant));

describe('the clients of the gateway', () => {
  it('are not known before its replicas have answered', () => {
    expect(numbers()).toEqual([undefined, undefined]);
  });

  it('are those of all replicas, asked once for all tenants', async () => {
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': [count('acme', 3), count('globex', 1)] };
    await poll();
    expect(numbers()).toEqual([5, 1]);
    expect(asked).toEqual(['operator kubernetes.io/service-name=copilot-gateway']);
  });

  it('are told by the tenants whose number has changed', async () => {
    answers = { '10.0.0.1': [count('acme', 2), count('globex', 1)] };
    await poll();
    await poll();
    expect(changed.splice(0)).toEqual(['acme', 'globex']);
    answers = { '10.0.0.1': [count('globex', 1)] };
    await poll();
    expect([changed, numbers()]).toEqual([['acme'], [0, 1]]);
  });

  it('are those that a ready replica said last while it does not answer, which is logged once, and those of the others now', async () => {
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': [count('acme', 3)] };
    await poll();
    answers = { '10.0.0.1': [count('acme', 1), count('globex', 1)], '10.0.0.2': new Error('connect ECONNREFUSED') };
    await poll();
    await poll();
    expect([numbers(), clients.silentReplicas]).toEqual([[4, 1], 1]);
    expect(logged).toEqual([expect.stringContaining('replica 10.0.0.2: connect ECONNREFUSED')]);
    answers['10.0.0.2'] = [];
    await poll();
    expect([numbers(), logged.at(-1)]).toEqual([[1, 1], 'clients of the gateway are counted again']);
    expect(clients.silentReplicas).toBe(0);
  });

  it('are those of the others while a ready replica has never answered', async () => {
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': new Error('no route') };
    await poll();
    expect([numbers(), logged]).toEqual([[2, 0], [expect.stringContaining('replica 10.0.0.2: no route')]]);
  });

  it('of a replica that is gone are not counted when it comes back and does not answer', async () => {
    answers = { '10.0.0.1': [count('acme', 2)] };
    await poll();
    answers = {};
    await poll();
    answers = { '10.0.0.1': new Error('no route') };
    await poll();
    expect(numbers()).toEqual([0, 0]);
  });

  it('stay as they were while nobody says which replicas there are', async () => {
    answers = { '10.0.0.1': [count('acme', 2)] };
    await poll();
    listing = new Error('etcd leader changed');
    await poll();
    await poll();
    expect([numbers(), logged]).toEqual([[2, 0], [expect.stringContaining('etcd leader changed')]]);
  });

  it('include those of a replica that stops, and wait for none that is gone', async () => {
    ready = { '10.0.0.1': false, '10.0.0.2': false };
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': new Error('timed out') };
    await poll();
    expect([numbers(), clients.silentReplicas]).toEqual([[2, 0], 0]);
  });
});

describe('the turns that users hold', () => {
  it('are those of all replicas, of one that does not answer those that it had', async () => {
    const told: string[][] = [];
    clients.onHeldTurns((held) => void told.push(held.map(({ session, holder }) => `${session} ${holder}`)));
    held = { '10.0.0.1': ['alice'], '10.0.0.2': ['bob'] };
    answers = { '10.0.0.1': [], '10.0.0.2': [] };
    await poll();
    answers = { '10.0.0.1': [], '10.0.0.2': new Error('no route') };
    held = {};
    await poll();
    answers = { '10.0.0.1': [] };
    await poll();
    expect(told).toEqual([['s alice', 's bob'], ['s bob'], []]);
  });
});

describe('where sessions are', () => {
  it('is what all replicas say, asked for twice a minute, and what one that does not answer said last', async () => {
    const told: string[][] = [];
    clients.onPlaces((places) => void told.push(places.map(({ server, sessions }) => `${server} ${sessions.join()}`)));
    const at = (server: string) => [{ namespace: 'team', name: 'acme', server, sessions: ['s'] }];
    placed = { '10.0.0.1': at('acme-0') };
    answers = { '10.0.0.1': [] };
    const stop = new AbortController();
    const running = clients.run(stop.signal);
    await clock.advance(29_000);
    placed = { '10.0.0.1': at('acme-1') };
    await clock.advance(1_000);
    answers = { '10.0.0.1': new Error('no route') };
    await clock.advance(30_000);
    expect(told).toEqual([['acme-0 s'], ['acme-1 s'], ['acme-1 s']]);
    stop.abort();
    await running.catch(() => undefined);
  });
});

describe('the replicas of a Service', () => {
  it('are each listed once, and ready where nothing else is said', () => {
    ready = { '10.0.0.1': false };
    const slices = [sliceOf(['10.0.0.1', '10.0.0.2'])];
    ready = { '10.0.0.1': true };
    expect(replicasOf([...slices, sliceOf(['10.0.0.1'])])).toEqual([
      { address: '10.0.0.1', isReady: true },
      { address: '10.0.0.2', isReady: true },
    ]);
  });

  it('are none where the Service has none, which the API server tells as null', () => {
    expect(replicasOf([{ ...sliceOf([]), endpoints: null } as unknown as EndpointSlice])).toEqual([]);
  });
});

describe('for how long tenants are unused', () => {
  const used = (idleMs: number): TenantCount => ({ ...count('acme', 0), idleMs });
  const idle = () => ACME && clients.idleMs(ACME);

  it('is not known before all replicas have answered, and not of replicas of an earlier version', async () => {
    expect(idle()).toBeUndefined();
    answers = { '10.0.0.1': [] };
    await poll();
    expect(idle()).toBe(0);
  });

  it('is the shortest time of all replicas; one that does not name the tenant knows as much as it is up', async () => {
    upMs = 90_000;
    answers = { '10.0.0.1': [used(70_000)], '10.0.0.2': [] };
    await poll();
    expect(idle()).toBe(70_000);
    answers = { '10.0.0.1': [used(120_000)], '10.0.0.2': [] };
    await poll();
    expect(idle()).toBe(90_000);
  });

  it('is none for a tenant of which a replica does not know yet that it may sleep', async () => {
    upMs = 90_000;
    answers = { '10.0.0.1': [count('acme', 1)] };
    await poll();
    expect(idle()).toBe(0);
  });

  it('is not known while a replica that is ready does not answer', async () => {
    upMs = 90_000;
    answers = { '10.0.0.1': [] };
    await poll();
    answers = { '10.0.0.1': new Error('no route') };
    await poll();
    expect(idle()).toBeUndefined();
  });

  it('is not known after an hour in which this process was paused, until the replicas are asked again', async () => {
    upMs = 90_000;
    answers = { '10.0.0.1': [] };
    await poll();
    clock.jumpWallClock(3_600_000);
    await clock.advance(60_000);
    expect(idle()).toBe(90_000);
    await clock.pause(3_600_000);
    expect(idle()).toBeUndefined();
    answers = { '10.0.0.1': [used(1_000)] };
    await poll();
    expect(idle()).toBe(1_000);
  });

  it('is none while a replica that is not ready does not answer: it may have been used just before', async () => {
    upMs = 90_000;
    ready = { '10.0.0.2': false };
    answers = { '10.0.0.1': [], '10.0.0.2': new Error('connect ECONNREFUSED') };
    await poll();
    expect(idle()).toBe(0);
  });
});
