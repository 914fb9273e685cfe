import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import pino from 'pino';
import type { Lease } from '../../../../src/kube/types/builtins.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import { LeaderElector, LeadershipLostError } from '../../../../src/kube/runtime/leader-election.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { metricValue } from '../../../support/metrics.ts';

const request = { method: 'PUT', path: '/lease' };

/** One Lease with the API server's rules: creation is exclusive, an update needs the newest resourceVersion. */
class LeaseApi {
  lease: Lease | undefined;
  requests: string[] = [];
  #version = 0;

  /** The client of one process; `state` is its network. */
  clientFor(state: {
    network: 'ok' | 'down' | 'responses lost' | 'hanging';
    /** Responses come after it. */
    held?: Promise<void>;
  }): Pick<KubeClient, 'get' | 'create' | 'update'> {
    const send = async <T>(verb: string, act: () => T): Promise<T> => {
      this.requests.push(verb);
      if (state.network === 'hanging') await new Promise(() => undefined);
      if (state.network === 'down') throw new TransportError(request, 'network', 'connection refused');
      const response = act();
      if (state.network === 'responses lost') throw new TransportError(request, 'network', 'connection reset');
      await state.held;
      return structuredClone(response);
    };
    return {
      get: (() => send('get', () => this.lease ?? fail(404, 'NotFound'))) as unknown as KubeClient['get'],
      create: ((_: unknown, lease: Lease) =>
        send('create', () => (this.lease ? fail(409, 'AlreadyExists') : this.#store(lease)))) as KubeClient['create'],
      update: ((_: unknown, lease: Lease) =>
        send('update', () => {
          if (!this.lease) fail(404, 'NotFound');
          if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) fail(409, 'Conflict');
          return this.#store(lease);
        })) as KubeClient['update'],
    };
  }

  #store(lease: Lease): Lease {
    this.#version += 1;
    const metadata = { ...lease.metadata, uid: 'lease', resourceVersion: String(this.#version) };
    this.lease = { ...structuredClone(lease), metadata };
    return this.lease;
  }

  annotate(value: string): void {
    if (!this.lease) throw new Error('no lease');
    this.#store({ ...this.lease, metadata: { ...this.lease.metadata, annotations: { value } } });
  }
}

function fail(code: number, reason: string): never {
  throw new StatusError(request, { code, reason });
}

/** A candidate for the lease. Its wall clock may be wrong; its monotonic clock starts anywhere. */
function candidate(api: LeaseApi, identity: string, { wallClockOffMs = 0, random = 0 } = {}) {
  const clock = new FakeClock(Date.UTC(2026, 0, 1) + wallClockOffMs);
  const state: Parameters<LeaseApi['clientFor']>[0] = { network: 'ok' };
  const metrics = new Metrics();
  const elector = new LeaderElector({
    client: api.clientFor(state),
    clock,
    random: () => random,
    log: pino({ level: 'silent' }),
    metrics,
    namespace: 'ns',
    name: 'lease',
    identity,
  });
  const stop = new AbortController();
  let end: string | undefined;
  const run = async (): Promise<void> => {
    end = (await elector.acquire(stop.signal)) ? await elector.renew(stop.signal) : 'never led';
  };
  const isMaster = () => metricValue(metrics, 'leader_election_master_status', { name: 'lease' });
  return { clock, state, elector, stop, run, isMaster, end: () => end };
}

/** Time passes for all of them. */
async function advanceAll(ms: number, ...candidates: { clock: FakeClock }[]): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    for (const { clock } of candidates) await clock.advance(Math.min(500, left));
  }
}

describe('the lease', () => {
  it('is created by the first candidate, with times of six digits', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await settle();
    expect(a.elector.isLeader()).toBe(true);
    expect(await a.isMaster()).toBe(1);
    expect(api.lease).toMatchObject({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace: 'ns', name: 'lease' },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        acquireTime: '2026-01-01T00:00:00.000000Z',
        renewTime: '2026-01-01T00:00:00.000000Z',
        leaseTransitions: 0,
      },
    });
  });

  it('is renewed every two seconds by one request, and keeps its acquireTime', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await advanceAll(20_000, a);
    expect(api.requests).toEqual(['get', 'create', ...Array.from({ length: 10 }, () => 'update')]);
    expect(api.lease?.spec).toMatchObject({
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:20.000000Z',
      leaseTransitions: 0,
    });
  });

  it('is declared lost at the renew deadline, however many slow requests the renewal takes', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await advanceAll(2_000, a);
    a.state.network = 'hanging';
    let lostAt: number | undefined;
    for (let ms = 0; ms < 30_000 && lostAt === undefined; ms += 100) {
      await a.clock.advance(100);
      if (a.end() !== undefined) lostAt = a.clock.monotonic();
    }
    expect(a.end()).toBe('lost');
    // The last renewal was sent at 2 s, and another candidate may lead from 17 s on.
    expect(lostAt).toBeLessThanOrEqual(12_100);
    a.stop.abort();
  });

  it('stays with its holder while it is renewed', async () => {
    const api = new LeaseApi();
    const [a, b] = [candidate(api, 'a'), candidate(api, 'b')];
    void a.run();
    await settle();
    void b.run();
    await advanceAll(120_000, a, b);
    expect([a.elector.isLeader(), b.elector.isLeader(), b.elector.holder]).toEqual([true, false, 'a']);
  });

  it.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
    ['right', 0],
  ])(
    'of a dead holder is acquired 15 s after its last observed change, if the clock of the other is %s',
    async (_, off) => {
      const api = new LeaseApi();
      const [a, b] = [candidate(api, 'a'), candidate(api, 'b', { wallClockOffMs: off })];
      void a.run();
      await settle();
      void b.run();
      await advanceAll(4_000, a, b);
      a.stop.abort();
      await advanceAll(14_500, b);
      expect(b.elector.isLeader()).toBe(false);
      await advanceAll(4_500, b);
      expect(b.elector.isLeader()).toBe(true);
      expect(api.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    },
  );

  it('expires without renewals, whatever changes in its metadata', async () => {
    const api = new LeaseApi();
    const [a, b] = [candidate(api, 'a'), candidate(api, 'b')];
    void a.run();
    await settle();
    a.stop.abort();
    void b.run();
    for (let i = 0; i < 18; i++) {
      api.annotate(String(i));
      await advanceAll(1_000, b);
    }
    expect(b.elector.isLeader()).toBe(true);
  });

  it('is read and renewed after another client has changed it', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await settle();
    api.requests = [];
    api.annotate('x');
    await advanceAll(2_000, a);
    expect(api.requests).toEqual(['update', 'get', 'update']);
    expect(a.elector.isLeader()).toBe(true);
  });

  it('is released at the end, and acquired by the next candidate at its next attempt', async () => {
    const api = new LeaseApi();
    const [a, b] = [candidate(api, 'a'), candidate(api, 'b')];
    void a.run();
    await settle();
    void b.run();
    await settle();
    a.stop.abort();
    await settle();
    await a.elector.release();
    expect(api.lease?.spec).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    expect([a.end(), a.elector.isLeader(), await a.isMaster()]).toEqual(['stopped', false, 0]);
    await advanceAll(2_000, b);
    expect([b.elector.isLeader(), api.lease?.spec?.leaseTransitions]).toEqual([true, 1]);
  });

  it('of another holder is not released', async () => {
    const api = new LeaseApi();
    const [a, b] = [candidate(api, 'a'), candidate(api, 'b')];
    void a.run();
    await settle();
    void b.run();
    await settle();
    b.stop.abort();
    await b.elector.release();
    expect(api.lease?.spec?.holderIdentity).toBe('a');
  });

  it('is requested between one and 2.2 retry periods after the last attempt', async () => {
    for (const [random, expected] of [
      [0, 2_000],
      [0.999999, 4_400],
    ] as const) {
      const api = new LeaseApi();
      const b = candidate(api, 'b', { random });
      b.state.network = 'down';
      void b.run();
      await settle();
      expect(Math.round(b.clock.nextTimerIn ?? 0)).toBe(expected);
      b.stop.abort();
    }
  });

  it.each([
    [{ leaseDurationMs: 10_000 }, /lease duration \(10000 ms\) must be longer than the renew deadline \(10000 ms\)/],
    [{ retryPeriodMs: 9_000 }, /renew deadline \(10000 ms\) must be longer than 1.2 retry periods/],
  ])('is refused with inconsistent times: %j', (times, message) => {
    expect(
      () =>
        new LeaderElector({
          client: new LeaseApi().clientFor({ network: 'ok' }),
          clock: new FakeClock(),
          random: () => 0,
          log: pino({ level: 'silent' }),
          metrics: new Metrics(),
          namespace: 'ns',
          name: 'lease',
          identity: 'a',
          ...times,
        }),
    ).toThrow(message);
  });
});

describe('the write gate', () => {
  it('is closed before the lease is held', () => {
    const a = candidate(new LeaseApi(), 'a');
    expect(a.elector.writeGate).toThrow(LeadershipLostError);
    expect(a.elector.writeGate).toThrow('write refused: a does not hold lease "lease"');
  });

  it('closes ten seconds after the last renewal, and leadership is lost with it', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await advanceAll(4_000, a);
    a.state.network = 'down';
    await advanceAll(9_500, a);
    expect(a.elector.writeGate).not.toThrow();
    await advanceAll(500, a);
    expect(a.elector.writeGate).toThrow(LeadershipLostError);
    await advanceAll(2_000, a);
    expect([a.end(), await a.isMaster()]).toEqual(['lost', 0]);
  });

  it('is not opened again by a response that comes after leadership was lost', async () => {
    const a = candidate(new LeaseApi(), 'a');
    void a.run();
    await settle();
    const { promise, resolve } = Promise.withResolvers<void>();
    a.state.held = promise;
    await a.clock.advance(10_000);
    expect(a.end()).toBe('lost');
    resolve();
    await settle();
    expect(a.elector.isLeader()).toBe(false);
    expect(() => a.elector.writeGate()).toThrow(LeadershipLostError);
  });

  it('stays open through an outage of eight seconds', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await advanceAll(4_000, a);
    a.state.network = 'down';
    await advanceAll(8_000, a);
    a.state.network = 'ok';
    await advanceAll(60_000, a);
    expect([a.end(), a.elector.isLeader()]).toEqual([undefined, true]);
  });

  it('counts from when the renewal was sent, as others may have observed it then', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await settle();
    a.state.network = 'responses lost';
    await advanceAll(10_000, a);
    // The API server has all renewals; this process knows of none of them.
    expect(api.lease?.spec?.renewTime).not.toBe('2026-01-01T00:00:00.000000Z');
    expect(a.elector.isLeader()).toBe(false);
  });

  it('is closed as soon as the process wakes from a pause of 20 s, until the lease was checked', async () => {
    const api = new LeaseApi();
    const a = candidate(api, 'a');
    void a.run();
    await advanceAll(4_000, a);
    const awake = a.clock.pause(20_000);
    expect(a.elector.writeGate).toThrow(LeadershipLostError);
    await awake;
    // There is no other candidate: the first check has renewed it.
    expect([a.end(), a.elector.isLeader()]).toEqual([undefined, true]);
  });

  it('never opens again if another candidate has acquired the lease during the pause', async () => {
    const api = new LeaseApi();
    const [a, b] = [candidate(api, 'a'), candidate(api, 'b')];
    void a.run();
    await settle();
    void b.run();
    await advanceAll(4_000, a, b);
    await advanceAll(20_000, b);
    expect(b.elector.isLeader()).toBe(true);
    const awake = a.clock.pause(20_000);
    expect(a.elector.isLeader()).toBe(false);
    await awake;
    expect([a.end(), a.elector.isLeader(), b.elector.isLeader()]).toEqual(['lost', false, true]);
  });
});

type Step = { who: 0 | 1 | 2 } & (
  { do: 'network'; network: 'ok' | 'down' | 'responses lost' } | { do: 'pause' | 'die' }
);

describe('three processes, whatever happens to their network and to themselves,', () => {
  const who = fc.constantFrom(0 as const, 1 as const, 2 as const);
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        who,
        do: fc.constant('network' as const),
        network: fc.constantFrom('ok' as const, 'down' as const, 'responses lost' as const),
      }),
    },
    { weight: 3, arbitrary: fc.record({ who, do: fc.constant('pause' as const) }) },
    { weight: 1, arbitrary: fc.record({ who, do: fc.constant('die' as const) }) },
  );
  const story = fc.array(fc.record({ step, lastsMs: fc.integer({ min: 100, max: 25_000 }) }), { maxLength: 12 });

  it('never write at the same time; and one leads again once all is quiet', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (story) => {
        const api = new LeaseApi();
        const all = [
          candidate(api, '0', { wallClockOffMs: -1e7 }),
          candidate(api, '1'),
          candidate(api, '2', { wallClockOffMs: 1e7 }),
        ];
        const paused = new Map<number, number>();
        const mayWrite = (): number => all.filter(({ elector }, i) => !paused.has(i) && elector.isLeader()).length;
        const wake = async (i: number): Promise<void> => {
          const awake = all[i]?.clock.pause(paused.get(i) ?? 0);
          paused.delete(i);
          // Before any of its timers has run: what a reconcile that was under way would do first.
          expect(mayWrite()).toBeLessThanOrEqual(1);
          await awake;
          expect(mayWrite()).toBeLessThanOrEqual(1);
        };
        const live = async (ms: number): Promise<void> => {
          for (let left = ms; left > 0; left -= 500) {
            for (const [i, { clock }] of all.entries()) {
              const slept = paused.get(i);
              if (slept === undefined) await clock.advance(Math.min(500, left));
              else paused.set(i, slept + Math.min(500, left));
            }
            expect(mayWrite()).toBeLessThanOrEqual(1);
          }
        };
        // A process that has lost the lease ends, and a fresh one takes its place.
        for (const each of all) {
          void (async () => {
            while (!each.stop.signal.aborted) await each.run();
          })();
        }
        await settle();
        for (const { step, lastsMs } of story) {
          const each = all[step.who];
          if (step.do === 'network' && each) each.state.network = step.network;
          else if (step.do === 'die') each?.stop.abort();
          else if (step.do === 'pause' && !paused.has(step.who)) paused.set(step.who, 0);
          await live(lastsMs);
          if (step.do === 'pause' && paused.has(step.who)) await wake(step.who);
        }
        for (const each of all) each.state.network = 'ok';
        await live(40_000);
        const alive = all.filter(({ stop }) => !stop.signal.aborted).length;
        expect(mayWrite()).toBe(alive > 0 ? 1 : 0);
        for (const { stop } of all) stop.abort();
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
