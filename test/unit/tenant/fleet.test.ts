import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { Store } from '../../../src/kube/cache/store.ts';
import type { Deployment } from '../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { ServerHealth } from '../../../src/servers/server.ts';
import { deployment } from '../../../src/tenant/builders/deployment.ts';
import type { BudgetDecision, RolloutBudget } from '../../../src/tenant/decisions/rollout-budget.ts';
import { Fleet, REPLACED_INDEX, replacedKeys } from '../../../src/tenant/fleet.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sampleTenant } from '../../support/tenants.ts';
import { MINUTE, SECOND, unhealthy } from './fixtures.ts';

const NAMES = ['a', 'b', 'c', 'd'];

/** A fleet of single-server tenants a to d, of which the test plays the reconciles. */
class World {
  readonly clock = new FakeClock();
  readonly deployments = new Store<Deployment>({ [REPLACED_INDEX]: replacedKeys });
  readonly tenants = new Store<CopilotTenant>();
  readonly health = new Map<string, ServerHealth>();
  readonly log: { msg: string }[] = [];
  readonly #max: number;
  fleet: Fleet;

  constructor(max = 2) {
    this.#max = max;
    for (const name of NAMES) {
      this.tenants.upsert(sampleTenant({}, { name, uid: `uid-of-${name}` }));
      this.show(name);
    }
    this.fleet = this.#start();
  }

  #start(): Fleet {
    const counts = (): Map<string, number> => {
      const found = new Map<string, number>();
      for (const health of this.health.values()) {
        const state = health.state === 'Unhealthy' ? health.reason : health.state;
        found.set(state, (found.get(state) ?? 0) + 1);
      }
      return found;
    };
    const write = (line: string): void => void this.log.push(JSON.parse(line) as { msg: string });
    return new Fleet({
      deployments: this.deployments,
      tenants: this.tenants,
      health: { get: (key) => this.health.get(key) ?? { state: 'Unknown' }, counts },
      clock: this.clock,
      log: pino({}, { write }),
      max: this.#max,
    });
  }

  /** A new operator process with the same cluster. */
  restart(): void {
    this.fleet = this.#start();
  }

  tenant(name: string): CopilotTenant {
    const found = this.tenants.get(`team/${name}`);
    if (found === undefined) throw new Error(`no tenant ${name}`);
    return found;
  }

  /** The cache shows the Deployment of the tenant's server. */
  show(
    name: string,
    facts: { rolloutAt?: string; restartedAt?: string; replacedAt?: string } = {},
    generation = 1,
  ): Deployment {
    const { rolloutAt, restartedAt, replacedAt } = facts;
    const made = deployment(this.tenant(name), 0, {
      image: { image: 'i', isDefault: true },
      running: true,
      credentialsHash: 'h',
      rolloutAt,
      replacedAt,
      restart: restartedAt === undefined ? undefined : { at: restartedAt, attempt: 1 },
    });
    const live = { ...made, metadata: { ...made.metadata, generation } };
    this.deployments.upsert(live);
    return live;
  }

  /** Reconciles of the tenants, in this order: which of them may replace their server, and do. Their writes are not in the cache. */
  rollOut(names: readonly string[] = NAMES, write = true): string[] {
    return this.#ask((budget, server) => budget.rollOut(server), names, write);
  }

  /** The same of those whose tenants want fresh processes. */
  recycle(names: readonly string[], write = true): string[] {
    return this.#ask((budget, server) => budget.rollOut(server, { isRecycled: true }), names, write);
  }

  restartServers(names: readonly string[] = NAMES, write = true): string[] {
    return this.#ask((budget, server) => budget.restart(server), names, write);
  }

  #ask(
    decide: (budget: RolloutBudget, server: string) => BudgetDecision,
    names: readonly string[],
    write: boolean,
  ): string[] {
    return names.filter((name) => {
      const budget = this.fleet.budgetOf(this.tenant(name));
      const { allowed } = decide(budget, `${name}-0`);
      const before = this.deployments.get(`team/${name}-0`);
      const after = before && {
        ...before,
        metadata: { ...before.metadata, generation: (before.metadata.generation ?? 0) + 1 },
      };
      const world = (live: Deployment | undefined) => new Map([[0, { index: 0, deployment: live, pods: [] }]]);
      if (allowed) budget.written(world(before), world(write ? after : before));
      budget.close(allowed ? 0 : 1);
      return allowed;
    });
  }

  async settled(): Promise<this> {
    this.rollOut();
    await this.clock.advance(15 * SECOND);
    return this;
  }

  now(): string {
    return timestamp(this.clock.now());
  }
}

const settled = (max?: number): Promise<World> => new World(max).settled();

describe('the roll-out over all tenants', () => {
  it('begins when the process knows who waits, in the order of their names', async () => {
    const world = new World();
    expect(world.rollOut(NAMES.toReversed())).toEqual([]);
    await world.clock.advance(15 * SECOND);
    expect(world.rollOut(NAMES.toReversed())).toEqual(['b', 'a']);
  });

  it('says when a tenant that has asked too soon may ask again', async () => {
    const world = new World();
    const budget = world.fleet.budgetOf(world.tenant('a'));
    budget.rollOut('a-0');
    expect(budget.dueInMs).toBe(15 * SECOND);
    budget.close(1);
    await world.clock.advance(15 * SECOND);
    const next = world.fleet.budgetOf(world.tenant('a'));
    next.rollOut('a-0');
    expect(next.dueInMs).toBeUndefined();
    next.close(0);
  });

  it('replaces no more servers than its budget although the cache does not show the writes', async () => {
    const world = await settled();
    expect(world.rollOut()).toEqual(['a', 'b']);
    expect(world.rollOut(['c', 'd'])).toEqual([]);
  });

  it('gives the place of a server that responds to the next, and knows which tenant to wake', async () => {
    const world = await settled();
    world.rollOut();
    world.show('a', { rolloutAt: world.now() }, 2);
    world.show('b', { rolloutAt: world.now() }, 2);
    expect([world.rollOut(['c', 'd']), world.fleet.next()]).toEqual([[], []]);
    world.show('a', {}, 3);
    expect(world.fleet.next()).toEqual([{ namespace: 'team', name: 'c' }]);
    expect(world.rollOut(['d', 'c'])).toEqual(['c']);
  });

  it('is continued by the next operator process: the cluster shows who has a place', async () => {
    const world = await settled();
    world.show('a', { rolloutAt: world.now() });
    world.restart();
    await world.settled();
    expect(world.rollOut(['b', 'c', 'd'])).toEqual(['b']);
  });

  it('is paused, and says so once, when the servers that it has replaced do not respond', async () => {
    const world = await settled();
    for (const name of ['a', 'b']) world.show(name, { rolloutAt: world.now() });
    expect(world.fleet.budgetOf(world.tenant('c')).paused).toBe(false);
    await world.clock.advance(11 * MINUTE);
    expect(world.rollOut(['c', 'd'])).toEqual([]);
    expect(world.fleet.budgetOf(world.tenant('c')).paused).toBe(true);
    expect(world.fleet.counts().rollouts).toEqual({ Pending: 4, Running: 0, Stuck: 2 });
    expect(world.log).toHaveLength(1);
    expect(world.log[0]).toMatchObject({ servers: ['team/a-0', 'team/b-0'], paused: true });
  });

  it('goes on when such a server is deleted, suspended or responds', async () => {
    const world = await settled(1);
    const stuck = world.show('a', { rolloutAt: '2020-01-01T00:00:00Z' });
    expect(world.rollOut(['b'])).toEqual([]);
    world.deployments.upsert({ ...stuck, spec: { ...stuck.spec, replicas: 0 } as never });
    world.fleet.budgetOf(world.tenant('a')).close(0);
    expect(world.rollOut(['b'])).toEqual(['b']);
    world.show('b', {}, 2);
    world.show('a', { rolloutAt: '2020-01-01T00:00:00Z' });
    expect(world.rollOut(['c'])).toEqual([]);
    world.deployments.delete(stuck);
    expect(world.rollOut(['c'])).toEqual(['c']);
  });

  it('waits ten minutes at most for a server that its tenant had recycled', async () => {
    const world = await settled(1);
    const at = timestamp(world.clock.now());
    world.show('a', { rolloutAt: at, replacedAt: at });
    expect(world.rollOut(['b'])).toEqual([]);
    await world.clock.advance(11 * MINUTE);
    expect([world.rollOut(['b']), world.log]).toEqual([['b'], []]);
  });

  // With a short maxAge and many servers a tenant always waits for a place.
  it('goes before servers that their tenants have recycled, whatever their names', async () => {
    const world = await settled(1);
    for (const name of NAMES) world.fleet.budgetOf(world.tenant(name)).close(0);
    world.rollOut(['d'], false);
    await world.clock.advance(MINUTE);
    world.fleet.budgetOf(world.tenant('d')).close(0);
    expect(world.recycle(['a'])).toEqual(['a']);
    expect([world.recycle(['b']), world.rollOut(['d'])]).toEqual([[], []]);
    world.show('a', {}, 2);
    expect(world.fleet.next().map(({ name }) => name)).toEqual(['d']);
    expect([world.recycle(['b']), world.rollOut(['d'])]).toEqual([[], ['d']]);
    world.show('d', {}, 2);
    expect(world.fleet.next().map(({ name }) => name)).toEqual(['b']);
    expect(world.recycle(['b'])).toEqual(['b']);
  });

  it('shares its places with them, by their names', async () => {
    const world = await settled(2);
    for (const name of NAMES) world.fleet.budgetOf(world.tenant(name)).close(0);
    expect([world.recycle(['b']), world.rollOut(['a']), world.recycle(['c', 'd'])]).toEqual([['b'], ['a'], []]);
  });

  it('is not held up by a server whose Deployment cannot be written', async () => {
    const world = await settled(1);
    expect(world.rollOut(['a'], false)).toEqual(['a']);
    expect(world.rollOut(['b', 'c'])).toEqual(['b']);
  });

  it('is not held up by a tenant that no longer waits, or is gone', async () => {
    const world = await settled(1);
    world.fleet.budgetOf(world.tenant('a')).close(0);
    expect(world.rollOut(['c'])).toEqual([]);
    world.fleet.forget({ namespace: 'team', name: 'b' });
    expect(world.rollOut(['c'])).toEqual(['c']);
  });

  it('does not count a Deployment that is no server of a tenant', async () => {
    const world = await settled(1);
    const live = world.show('a', { rolloutAt: world.now() });
    world.deployments.upsert({ ...live, metadata: { ...live.metadata, ownerReferences: [] } });
    expect(world.rollOut(['a'])).toEqual(['a']);
  });

  it('replaces nothing with a budget of 0', async () => {
    expect((await settled(0)).rollOut()).toEqual([]);
  });
});

describe('restarts over all tenants', () => {
  it('are limited from the start, to the servers that are first', () => {
    const world = new World();
    expect(world.restartServers()).toEqual(['a', 'b']);
    expect(world.restartServers(['c', 'd'])).toEqual([]);
    expect(world.fleet.counts().restartsWaiting).toBe(2);
  });

  it('happen one at a time with a budget of 0', () => {
    expect(new World(0).restartServers()).toEqual(['a']);
  });

  it('go on when a restarted server responds, or does not for two minutes', async () => {
    const world = new World(1);
    world.show('a', { restartedAt: world.now() });
    expect(world.restartServers(['b'])).toEqual([]);
    world.health.set('team/a-0', { state: 'Healthy', version: '1', since: 0 });
    expect(world.restartServers(['b'])).toEqual(['b']);
    world.show('b', { restartedAt: world.now() }, 2);
    expect(world.restartServers(['c'])).toEqual([]);
    await world.clock.advance(2 * MINUTE + SECOND);
    expect(world.restartServers(['c'])).toEqual(['c']);
  });

  // A tenant with many servers that never answer always has one to restart.
  it('happen in the order in which they were asked for, whatever the names', async () => {
    const world = new World(1);
    expect(world.restartServers(['a', 'c', 'b'])).toEqual(['a']);
    world.show('a', { restartedAt: world.now() }, 2);
    await world.clock.advance(2 * MINUTE + SECOND);
    expect(world.restartServers(['a', 'b', 'c'])).toEqual(['c']);
    world.show('c', { restartedAt: world.now() }, 2);
    await world.clock.advance(2 * MINUTE + SECOND);
    expect(world.restartServers(['a', 'b', 'c'])).toEqual(['b']);
  });

  it('go on after the clock was set back', () => {
    const world = new World(1);
    world.show('a', { restartedAt: world.now() });
    world.clock.jumpWallClock(-60 * MINUTE);
    expect(world.restartServers(['b'])).toEqual(['b']);
  });

  it('are slower while many servers do not respond at once, and the log says so', async () => {
    const world = new World(1);
    for (const name of NAMES) world.health.set(`team/${name}-0`, unhealthy());
    world.show('a', { restartedAt: world.now() });
    await world.clock.advance(3 * MINUTE);
    expect(world.restartServers(['b'])).toEqual([]);
    await world.clock.advance(8 * MINUTE);
    expect(world.restartServers(['b'])).toEqual(['b']);
    expect(world.log.map(({ msg }) => msg)).toEqual([expect.stringContaining('many servers do not respond')]);
  });

  it('do not take a place in the roll-out', async () => {
    const world = await settled(1);
    expect(world.restartServers(['a'])).toEqual(['a']);
    world.show('a', { restartedAt: world.now() }, 2);
    expect(world.rollOut()).toEqual(['a']);
  });
});

describe('a server that drains for the roll-out', () => {
  /** A reconcile of the tenant in which its server drains. */
  const drain = (
    { fleet, tenant }: { fleet: Fleet; tenant: CopilotTenant },
    name: string,
    drainsSince: string | undefined,
  ): boolean => {
    const budget = fleet.budgetOf(tenant);
    const { allowed } = budget.rollOut(`${name}-0`, { drainsSince });
    if (allowed) budget.hold(`${name}-0`);
    budget.close(1);
    return allowed;
  };

  it('keeps its place although its Deployment does not show it, also for an operator that has just started', async () => {
    const world = await settled(1);
    const since = world.now();
    const reconcile = (name: string, isDraining: boolean) =>
      drain({ fleet: world.fleet, tenant: world.tenant(name) }, name, isDraining ? since : undefined);
    expect([reconcile('a', false), reconcile('b', false)]).toEqual([true, false]);
    await world.clock.advance(20 * SECOND);
    expect([reconcile('a', true), reconcile('b', false)]).toEqual([true, false]);
    world.restart();
    expect([reconcile('b', false), reconcile('a', true)]).toEqual([false, true]);
    await world.clock.advance(15 * SECOND);
    expect([reconcile('b', false), reconcile('a', true)]).toEqual([false, true]);
    await world.clock.advance(4 * MINUTE);
    expect(reconcile('b', false)).toBe(true);
  });

  // spec.drain.timeout may be a day, and the turns of one tenant are no matter of the others.
  it('keeps it for ten minutes, and is replaced when it has drained all the same', async () => {
    const world = await settled(1);
    const since = world.now();
    const reconcile = (name: string, drainsSince?: string) =>
      drain({ fleet: world.fleet, tenant: world.tenant(name) }, name, drainsSince);
    expect(reconcile('a')).toBe(true);
    for (let minutes = 0; minutes < 10; minutes += 0.25) {
      expect([reconcile('a', since), reconcile('b')]).toEqual([true, false]);
      await world.clock.advance(MINUTE / 4);
    }
    for (let seconds = 0; seconds <= 45; seconds += 15) {
      expect(reconcile('a', since)).toBe(true);
      await world.clock.advance(15 * SECOND);
    }
    expect([reconcile('b'), reconcile('a', since), reconcile('c')]).toEqual([true, true, false]);
  });
});
