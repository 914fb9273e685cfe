/** The budget of replacements during one reconcile of a tenant. */
import { keyOf } from '../kube/types/types.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import {
  type BudgetDecision,
  type BudgetUse,
  isPaused,
  NEXT,
  type RolloutAsk,
  type RolloutBudget,
  type RolloutUse,
  restartAllowed,
  rolloutAllowed,
} from './decisions/rollout-budget.ts';
import type { ServerWorld } from './model.ts';
import type { PlaceQueue } from './place-queue.ts';
import { targetKey } from './targets.ts';

/** What a tenant asked for in its last reconcile. */
export interface BudgetRequests {
  /** Servers that asked for a place in the roll-out. */
  readonly rollouts: ReadonlySet<string>;
  /** Servers that asked for one to be recycled. */
  readonly recycles: ReadonlySet<string>;
  /** Servers that asked for a restart. */
  readonly restarts: ReadonlySet<string>;
  /** How many servers wait for the roll-out. */
  readonly pending: number;
}

/** The state of the budget that one reconcile works on. */
export interface TenantBudgetOptions {
  readonly use: RolloutUse;
  readonly restartUse: () => BudgetUse;
  readonly rollouts: PlaceQueue;
  readonly recycles: PlaceQueue;
  readonly restarts: PlaceQueue;
  readonly settlesInMs: number;
  /** Whether a server that drains since then still has its place. */
  readonly keepsPlace: (drainsSince: string) => boolean;
  readonly close: (requests: BudgetRequests) => void;
}

/** The budget during one reconcile of a tenant: gives places, and takes back those that were not used. */
export class TenantBudget implements RolloutBudget {
  readonly paused: boolean;
  readonly #tenant: CopilotTenant;
  readonly #options: TenantBudgetOptions;
  readonly #asked = { rollouts: new Set<string>(), recycles: new Set<string>(), restarts: new Set<string>() };
  readonly #granted = new Map<string, PlaceQueue>();

  constructor(tenant: CopilotTenant, options: TenantBudgetOptions) {
    this.#tenant = tenant;
    this.#options = options;
    this.paused = isPaused(options.use);
  }

  /** When it is worth asking again, in ms; undefined: no sooner than usual. */
  get dueInMs(): number | undefined {
    const { settlesInMs } = this.#options;
    const { rollouts, recycles } = this.#asked;
    return rollouts.size + recycles.size > 0 && this.#options.use.settling ? settlesInMs : undefined;
  }

  rollOut(server: string, { drainsSince, isRecycled = false }: RolloutAsk = {}): BudgetDecision {
    const { use, rollouts, recycles, keepsPlace } = this.#options;
    // It goes on, and others need not wait for its turns.
    if (drainsSince !== undefined && !keepsPlace(drainsSince)) return NEXT;
    const [asked, queue] = isRecycled ? [this.#asked.recycles, recycles] : [this.#asked.rollouts, rollouts];
    // A tenant that always has something to recycle must not keep the roll-out from others.
    const first = (): string[] => (isRecycled ? rollouts.waiting() : []);
    // Nothing on its Deployment shows that it has a place, so a process that has just started must not take it away.
    const decide = (key: string) =>
      drainsSince === undefined ? rolloutAllowed(key, queue.waiting(), use, first()) : NEXT;
    return this.#ask(server, asked, queue, decide);
  }

  hold(server: string): void {
    this.#granted.delete(this.#keyOf(server));
  }

  restart(server: string): BudgetDecision {
    const { restarts, restartUse } = this.#options;
    return this.#ask(server, this.#asked.restarts, restarts, (key) =>
      restartAllowed(key, restarts.waiting(), restartUse()),
    );
  }

  /** What was written of that for which there were places. */
  written(before: ReadonlyMap<number, ServerWorld>, after: ReadonlyMap<number, ServerWorld>): void {
    for (const [index, { deployment }] of after) {
      const key = targetKey(this.#tenant, index);
      const queue = this.#granted.get(key);
      if (queue === undefined || deployment === before.get(index)?.deployment) continue;
      queue.written(key, deployment?.metadata.generation);
      this.#granted.delete(key);
    }
  }

  /** Ends the reconcile; `pending` servers go on waiting for the roll-out. */
  close(pending: number): void {
    for (const [key, queue] of this.#granted) queue.refused(key);
    this.#options.close({ ...this.#asked, pending });
  }

  #ask(server: string, asked: Set<string>, queue: PlaceQueue, decide: (key: string) => BudgetDecision): BudgetDecision {
    const key = this.#keyOf(server);
    asked.add(key);
    queue.ask(key);
    const decision = decide(key);
    if (!decision.allowed) return decision;
    queue.grant(key);
    this.#granted.set(key, queue);
    return decision;
  }

  #keyOf(server: string): string {
    return keyOf({ namespace: this.#tenant.metadata.namespace ?? '', name: server });
  }
}
