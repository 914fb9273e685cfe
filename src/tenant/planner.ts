/** Decides the plan of a tenant with what the API server makes of it: whether writes would change anything, and whether they are taken. */
import type { VolumeUsage } from '../api/tenant-status.ts';
import { Deployment } from '../kube/types/builtins.ts';
import { nameOf, type NamespacedName } from '../kube/types/types.ts';
import type { Applier } from '../kube/write/apply.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import type { Outcome } from './apply.ts';
import { mayAdopt } from './decisions/adoption.ts';
import type { RolloutBudget } from './decisions/rollout-budget.ts';
import { notWritten, undrained } from './drain-plan.ts';
import type { DrainWatch } from './gateway-drains.ts';
import type { OperatorFacts, ServerObservation, World } from './model.ts';
import { decide, type Plan } from './plan.ts';
import { RefusedWrites } from './refused-writes.ts';
import type { WasApplied } from './server-template.ts';
import type { VolumeChecks } from './volume-checks.ts';

export interface PlannerOptions {
  readonly applier: Applier;
  readonly facts: OperatorFacts;
  /** Undefined: there is no gateway that can be asked. */
  readonly drains: DrainWatch | undefined;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
}

/** What a plan is decided from. */
export interface Observed {
  readonly world: World;
  readonly observed: ReadonlyMap<number, ServerObservation>;
  /** The last measured usage of the volumes, by index. */
  readonly usages: ReadonlyMap<number, VolumeUsage>;
  /** Wall clock, ms. */
  readonly now: number;
}

/** Of all tenants: it remembers which writes were refused, so that no server is drained again for one of them. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #volumes: VolumeChecks;
  readonly #refused = new RefusedWrites();

  constructor(options: PlannerOptions, volumes: VolumeChecks) {
    this.#options = options;
    this.#volumes = volumes;
  }

  /** Decides what to do, without writing anything. */
  async decide({ world, observed, usages, now }: Observed, budget: RolloutBudget, signal: AbortSignal): Promise<Plan> {
    const { applier, facts, randomBytes, drains } = this.#options;
    const { tenant } = world;
    const differing: [desired: Deployment, live: Deployment][] = [];
    const wouldWrite = (desired: Deployment, live: Deployment): boolean => {
      const options = { mayAdopt: (found: Deployment) => mayAdopt(found, desired, tenant) };
      const writes = applier.wouldWrite(Deployment, desired, live, tenant, options);
      if (writes) differing.push([desired, live]);
      return writes;
    };
    const volumes = this.#volumes.factsOf(world, usages);
    const wasApplied: WasApplied = (desired, live) => applier.wasApplied(desired, live, tenant);
    const decideNow = (): Plan =>
      decide({
        world,
        facts,
        observed,
        volumes,
        wouldWrite,
        wasApplied,
        budget,
        drainReports: drains,
        refused: this.#refused.of(nameOf(tenant)),
        now,
        randomBytes,
      });
    const plan = decideNow();
    // Before a server is reported as being replaced: a policy may have changed its Deployment, and then nothing is written.
    const left = await Promise.all(
      differing.map(([desired, live]) => applier.changedByServer(Deployment, desired, live, tenant, { signal })),
    );
    const decided = left.includes(true) ? decideNow() : plan;
    return (await this.#testRefused(tenant, decided, signal)) ? decideNow() : decided;
  }

  /**
   * Returns the servers that were not written. `world`: what was planned from, because before that a sleep may have been taken back. Whatever
   * failed for another reason, such as a conflict, is tried again at once, and its servers stay drained for it.
   */
  recordRefused({ tenant }: World, plan: Plan, outcome: Outcome): ReadonlySet<number> {
    const name = nameOf(tenant);
    const before = this.#refused.of(name);
    if (outcome.errors.length > 0) return before;
    const refused = notWritten(tenant, plan.servers, outcome.servers, before);
    const draining = [...(plan.drains ?? [])].flatMap(([index, { end }]) => (end === undefined ? [index] : []));
    this.#refused.record(name, refused, new Set(draining));
    return refused;
  }

  forget(tenant: NamespacedName): void {
    this.#refused.forget(tenant);
  }

  /** Whether writes that were refused would be taken now: then the servers are drained, which without that are replaced in the middle of turns. */
  async #testRefused(tenant: CopilotTenant, { servers, paused }: Plan, signal: AbortSignal): Promise<boolean> {
    const { applier } = this.#options;
    const refused = this.#refused.testable(nameOf(tenant));
    if (refused.size === 0 || paused === true) return false;
    const tested = undrained(tenant, servers, refused).map(async ({ index, deployment, live }) => {
      if (deployment === undefined || live.deployment === undefined) return [];
      return (await applier.wouldBeTaken(Deployment, deployment, live.deployment, { signal })) ? [index] : [];
    });
    const taken = (await Promise.all(tested)).flat();
    this.#refused.taken(nameOf(tenant), taken);
    return taken.length > 0;
  }
}
