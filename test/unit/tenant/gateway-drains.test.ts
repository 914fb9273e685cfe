import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EndpointSlice } from '../../../src/kube/types/builtins.ts';
import type { DrainAnswer, DrainLine } from '../../../src/resources/gateway-internal.ts';
import { GatewayDrains } from '../../../src/tenant/gateway-drains.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

const ACME = { namespace: 'team', name: 'acme' };
const SERVER = 'team/acme-0';
const line = (change: Partial<DrainLine> = {}): DrainLine => ({
  server: SERVER,
  epoch: 1,
  turns: 0,
  drained: true,
  ...change,
});

/** What each replica answers; an Error: it does not. */
let answers: Record<string, DrainAnswer | Error>;
let isReady: boolean;
let asked: number;
let changed: string[];
let logged: string[];
let clock: FakeClock;
let drains: GatewayDrains;

function slice(): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'copilot-gateway-abcde', namespace: 'operator' },
    addressType: 'IPv4',
    // One that stops is not ready, and may still be connected to servers.
    endpoints: Object.keys(answers).map((address) => ({ addresses: [address], conditions: { ready: isReady } })),
    ports: [],
  };
}

beforeEach(() => {
  [answers, isReady, asked, changed, logged, clock] = [{}, false, 0, [], [], new FakeClock()];
  drains = new GatewayDrains({
    client: { listAll: () => Promise.resolve({ items: [slice()] as never[], metadata: {} } as never) },
    clock,
    log: { warn: ({ error }: { error?: string }) => void logged.push(error ?? '') },
    namespace: 'operator',
    service: 'copilot-gateway',
    ask: (address) => {
      asked += 1;
      const answer = answers[address];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? []);
    },
  });
  drains.onChange(({ name }) => changed.push(name));
});

const poll = () => drains.poll(new AbortController().signal);
const watch = (epoch = 1) => drains.watch(ACME, new Map([[SERVER, epoch]]));

describe('the drains at the gateway', () => {
  it.each<[what: string, replicas: typeof answers, turns: number, waiting: number]>([
    ['all have left the pod', { a: [line()], b: [line()] }, 0, 0],
    [
      'the turns of all are left',
      { a: [line({ turns: 2, drained: false })], b: [line({ turns: 1, drained: false })] },
      3,
      2,
    ],
    ['one has not heard of it', { a: [line()], b: [] }, 0, 1],
    [
      'one has heard of an earlier one only',
      { a: [line(), line({ server: 'team/acme-1' })], b: [line({ epoch: 0 })] },
      0,
      1,
    ],
    ['one does not answer', { a: [line()], b: new Error('timeout') }, 0, 1],
    ['one is of a version without drains', { a: [line()], b: 'NoDrains' }, 0, 0],
    ['the process of one has ended', { a: [line()], b: 'Refused' }, 0, 0],
    ['there is no replica', {}, 0, 0],
  ])('say whether %s', async (_, replicas, turns, waiting) => {
    answers = replicas;
    watch();
    await poll();
    expect(drains.get(SERVER, 1)).toEqual({ turns, waiting });
  });

  it('are waited for at a replica that is ready and refuses the connection, as a NetworkPolicy does for it', async () => {
    [answers, isReady] = [{ a: [line()], b: 'Refused' }, true];
    watch();
    await poll();
    expect(drains.get(SERVER, 1)).toEqual({ turns: 0, waiting: 1 });
    expect(logged).toEqual(['replica b: it refuses the connection']);
  });

  it('are not known before they were asked, nor of another epoch or server', async () => {
    watch();
    expect(drains.get(SERVER, 1)).toBeUndefined();
    answers = { a: [line()] };
    await poll();
    expect([drains.get(SERVER, 2), drains.get('team/acme-1', 1)]).toEqual([undefined, undefined]);
    watch(2);
    expect(drains.get(SERVER, 2)).toBeUndefined();
  });

  it('have been open for as long as this process has asked for them', async () => {
    watch();
    await clock.advance(5_000);
    watch();
    expect([drains.openMs(SERVER, 1), drains.openMs(SERVER, 2)]).toEqual([5_000, undefined]);
  });

  it('are told by their tenants when something of them changes', async () => {
    answers = { a: [line({ turns: 1, drained: false })] };
    watch();
    await poll();
    await poll();
    expect(changed).toEqual(['acme']);
    answers = { a: [line()] };
    await poll();
    expect(changed).toEqual(['acme', 'acme']);
  });

  it('are asked for every second while there are any, and else not at all', async () => {
    answers = { a: [line()] };
    const stop = new AbortController();
    const running = drains.run(stop.signal).catch((error: unknown) => error);
    await clock.advance(60_000);
    expect([asked, clock.pendingTimers]).toEqual([0, 0]);
    watch();
    await settle();
    await clock.advance(3_000);
    expect(asked).toBe(4);
    drains.watch(ACME, new Map());
    await clock.advance(60_000);
    expect([asked, clock.pendingTimers]).toEqual([4, 0]);
    stop.abort();
    await running;
  });

  it('are logged once where a replica does not answer', async () => {
    answers = { a: new Error('timeout') };
    watch();
    await poll();
    await poll();
    expect(logged).toEqual(['replica a: timeout']);
  });
});
