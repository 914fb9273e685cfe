import { describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { controllerManagedBy } from '../../../../src/kube/runtime/builder.ts';
import { Manager, type ManagerOptions } from '../../../../src/kube/runtime/manager.ts';
import type { Outcome, Runnable } from '../../../../src/kube/runtime/runnables.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { metricValue } from '../../../support/metrics.ts';
import { SimulatedApi } from '../simulated-api.ts';

/** Promises that the test resolves itself, by name. */
class Script {
  readonly events: string[] = [];
  readonly #gates = new Map<string, (value: unknown) => void>();

  reached(event: string): void {
    this.events.push(event);
  }

  gate<T>(name: string): Promise<T> {
    return new Promise((resolve) => this.#gates.set(name, resolve as (value: unknown) => void));
  }

  async open(name: string, value?: unknown): Promise<void> {
    this.#gates.get(name)?.(value);
    await settle();
  }
}

function setUp(options: Partial<ManagerOptions> = {}) {
  const clock = new FakeClock();
  const script = new Script();
  const elector = {
    acquire: (signal: AbortSignal) => {
      script.reached('waits for the lease');
      signal.addEventListener('abort', () => void script.open('acquire', false));
      return script.gate<boolean>('acquire');
    },
    renew: (signal: AbortSignal) => {
      signal.addEventListener('abort', () => void script.open('renew', 'stopped'));
      return script.gate<'stopped' | 'lost'>('renew');
    },
    release: async () => script.reached('lease released'),
  };
  const manager = new Manager({
    client: {} as KubeClient,
    clock,
    random: () => 0,
    log: pino({ level: 'silent' }),
    metrics: new Metrics(),
    leaderElector: elector,
    ...options,
  });
  /** Runs until stopped, and then until the test opens its gate or it is killed. */
  const worker = (name: string, more: Partial<Runnable> = {}): Runnable => ({
    name,
    run: async (stop, kill) => {
      script.reached(`${name} started`);
      await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve()));
      script.reached(`${name} stopping`);
      const killed = new Promise<string>((resolve) => {
        if (kill.aborted) resolve('killed');
        kill.addEventListener('abort', () => resolve('killed'));
      });
      const how = await Promise.race([script.gate<string>(name), killed]);
      script.reached(`${name} ${how}`);
    },
    ...more,
  });
  const stop = new AbortController();
  let outcome: Outcome | undefined;
  const run = async (): Promise<void> => {
    outcome = await manager.run(stop.signal);
  };
  return { clock, script, manager, worker, stop, run, outcome: () => outcome };
}

describe('the manager', () => {
  it('starts its runnables once the lease is held, and those that need no leadership at once', async () => {
    const { script, manager, worker, run } = setUp();
    manager.addRunnable(worker('controller'));
    manager.addRunnable(worker('web server', { needsLeadership: false }));
    void run();
    await settle();
    expect(script.events).toEqual(['web server started', 'waits for the lease']);
    await script.open('acquire', true);
    expect(script.events.slice(2)).toEqual(['controller started']);
  });

  it('needs no lease when it has no elector', async () => {
    const { script, manager, worker, run, stop, outcome } = setUp({ leaderElector: undefined });
    manager.addRunnable(worker('controller'));
    void run();
    await settle();
    stop.abort();
    await settle();
    await script.open('controller', 'finished');
    expect(script.events).toEqual(['controller started', 'controller stopping', 'controller finished']);
    expect(outcome()).toEqual({ reason: 'stopped' });
  });

  it('stops in order: runnables end, hooks run, the lease is released last', async () => {
    const { script, manager, worker, run, stop, outcome, clock } = setUp();
    manager.addRunnable(worker('controller'));
    manager.onStop(async () => script.reached('events written'));
    void run();
    await settle();
    await script.open('acquire', true);
    stop.abort();
    await clock.advance(29_000);
    expect(script.events.slice(1)).toEqual(['controller started', 'controller stopping']);
    await script.open('controller', 'finished');
    expect(script.events.slice(3)).toEqual(['controller finished', 'events written', 'lease released']);
    expect(outcome()).toEqual({ reason: 'stopped' });
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops what the others need when these have ended', async () => {
    const { script, manager, worker, run, stop, outcome } = setUp({ leaderElector: undefined });
    manager.addRunnable(worker('routes', { stopsLast: true }));
    manager.addRunnable(worker('clients'));
    manager.addRunnable(worker('other'));
    void run();
    await settle();
    expect(script.events.splice(0).toSorted()).toEqual(['clients started', 'other started', 'routes started']);
    stop.abort();
    await settle();
    expect(script.events).toEqual(['clients stopping', 'other stopping']);
    await script.open('other', 'finished');
    expect(script.events.slice(2)).toEqual(['other finished']);
    await script.open('clients', 'finished');
    expect(script.events.slice(3)).toEqual(['clients finished', 'routes stopping']);
    await script.open('routes', 'finished');
    expect(outcome()).toEqual({ reason: 'stopped' });
  });

  it('takes the end of a wait by the stop for no failure, and tells every other one', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const { clock, manager, run, stop, outcome } = setUp({ leaderElector: undefined, log });
    const polls = (name: string, more: Partial<Runnable> = {}): Runnable => ({
      name,
      run: (stopping) => clock.sleep(60_000, stopping),
      ...more,
    });
    manager.addRunnable(polls('clients'));
    manager.addRunnable(polls('routes', { stopsLast: true }));
    manager.addRunnable({
      name: 'broken',
      run: (stopping) => clock.sleep(60_000, stopping).catch(() => Promise.reject(new Error('no connection'))),
    });
    void run();
    await settle();
    stop.abort();
    await settle();
    expect(outcome()).toEqual({ reason: 'stopped' });
    expect(lines.map((line) => (JSON.parse(line) as { runnable: string }).runnable)).toEqual(['broken']);
  });

  it('aborts what stops last together with what it would have waited for', async () => {
    const { script, manager, worker, run, stop, outcome, clock } = setUp({ leaderElector: undefined });
    manager.addRunnable(worker('routes', { stopsLast: true }));
    manager.addRunnable(worker('clients'));
    void run();
    await settle();
    stop.abort();
    await clock.advance(30_000);
    expect(script.events.slice(-3).toSorted()).toEqual(['clients killed', 'routes killed', 'routes stopping']);
    expect(outcome()).toEqual({ reason: 'stopped' });
  });

  it('aborts what has not ended 30 s after the stop', async () => {
    const { script, manager, worker, run, stop, outcome, clock } = setUp();
    manager.addRunnable(worker('controller'));
    void run();
    await settle();
    await script.open('acquire', true);
    stop.abort();
    await clock.advance(30_000);
    expect(script.events.slice(-2)).toEqual(['controller killed', 'lease released']);
    expect(outcome()).toEqual({ reason: 'stopped' });
  });

  it('does not wait for what does not even end then, and still releases the lease', async () => {
    const { script, manager, run, stop, outcome, clock } = setUp();
    manager.addRunnable({ name: 'stuck', run: () => new Promise(() => undefined) });
    void run();
    await settle();
    await script.open('acquire', true);
    stop.abort();
    await clock.advance(32_000);
    expect(outcome()).toEqual({ reason: 'stopped' });
    expect(script.events.at(-1)).toBe('lease released');
  });

  it('aborts everything when the lease is lost, and does not release it', async () => {
    const { script, manager, worker, run, outcome } = setUp();
    manager.addRunnable(worker('controller'));
    void run();
    await settle();
    await script.open('acquire', true);
    await script.open('renew', 'lost');
    expect(script.events.slice(1)).toEqual(['controller started', 'controller stopping', 'controller killed']);
    expect(outcome()).toEqual({ reason: 'leadership lost' });
  });

  it('reports a lost lease even during a stop', async () => {
    const { script, manager, worker, run, stop, outcome } = setUp();
    manager.addRunnable(worker('controller'));
    void run();
    await settle();
    await script.open('acquire', true);
    stop.abort();
    await settle();
    await script.open('renew', 'lost');
    expect(outcome()).toEqual({ reason: 'leadership lost' });
  });

  it.each<[string, Partial<Runnable>, () => Promise<void>]>([
    ['throws', {}, () => Promise.reject(new Error('no port'))],
    ['ends before it was stopped', {}, () => Promise.resolve()],
    ['throws while another process leads', { needsLeadership: false }, () => Promise.reject(new Error('no port'))],
  ])('fails, and releases the lease, when a runnable %s', async (_, more, end) => {
    const { script, manager, worker, run, outcome } = setUp();
    manager.addRunnable(worker('controller'));
    manager.addRunnable({ name: 'pinger', run: end, ...more });
    void run();
    await settle();
    await script.open('acquire', true);
    await script.open('controller', 'finished');
    const result = outcome();
    expect(result).toMatchObject({ reason: 'failed', error: { message: 'pinger failed' } });
    expect(script.events.at(-1)).toBe('lease released');
  });

  it('counts the lists of its informers', async () => {
    const metrics = new Metrics();
    const { manager, run, stop } = setUp({ client: new SimulatedApi() as unknown as KubeClient, metrics });
    manager.informer(ConfigMap);
    void run();
    await settle();
    const labels = { group: '', resource: 'configmaps' };
    expect(await metricValue(metrics, 'reflector_lists_total', labels)).toBe(1);
    stop.abort();
    await settle();
  });

  it('retries what failed during an outage as soon as the API server answers again', async () => {
    const api = new SimulatedApi();
    const { manager, run, stop, clock } = setUp({ client: api as unknown as KubeClient, leaderElector: undefined });
    const attempts: { at: number; ok: boolean }[] = [];
    const controller = controllerManagedBy(manager)
      .for(manager.informer(ConfigMap))
      .complete({
        reconcileForbidden: async () => undefined,
        reconcile: async () => {
          attempts.push({ at: clock.monotonic(), ok: !api.down });
          await api.ready();
        },
      });
    void run();
    await settle();
    api.goDown();
    controller.enqueue({ namespace: 'a', name: 'changed-elsewhere' });
    // 5 ms, doubled 15 times: the next attempt would be 164 s after the last one.
    await clock.advance(200_000);
    const returnedAt = clock.monotonic();
    expect(returnedAt - (attempts.at(-1)?.at ?? 0)).toBeLessThan(100_000);
    api.down = false;
    await clock.advance(4_000);
    expect(attempts.at(-1)).toMatchObject({ ok: true });
    expect(attempts.filter(({ at }) => at >= returnedAt)).toHaveLength(1);
    stop.abort();
    await settle();
    expect(clock.pendingTimers).toBe(0);
  });

  it('aborts everything, and releases the lease, when the API server was restored from a backup', async () => {
    const api = new SimulatedApi();
    const { script, manager, worker, run, outcome, clock } = setUp({ client: api as unknown as KubeClient });
    manager.informer(ConfigMap);
    manager.addRunnable(worker('controller'));
    const backup = api.backUp();
    api.put('a');
    void run();
    await settle();
    await script.open('acquire', true);
    api.restore(backup);
    await clock.advance(3_000);
    expect(outcome()).toMatchObject({ reason: 'restored', error: { name: 'RestoredError' } });
    expect(script.events.slice(2)).toEqual(['controller stopping', 'controller killed', 'lease released']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends while it waits for the lease, too, when the API server was restored', async () => {
    const api = new SimulatedApi();
    const { script, manager, run, outcome, clock } = setUp({ client: api as unknown as KubeClient });
    manager.informer(ConfigMap);
    const backup = api.backUp();
    api.put('a');
    void run();
    await settle();
    expect(script.events).toEqual(['waits for the lease']);
    api.restore(backup);
    await clock.advance(3_000);
    expect(outcome()).toMatchObject({ reason: 'restored' });
  });

  it('stops while it waits for the lease', async () => {
    const { script, manager, worker, run, stop, outcome } = setUp();
    manager.addRunnable(worker('controller'));
    void run();
    await settle();
    stop.abort();
    await settle();
    expect(outcome()).toEqual({ reason: 'stopped' });
    expect(script.events).not.toContain('controller started');
  });
});
