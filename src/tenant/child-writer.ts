/** Applies and deletes the children of a tenant, and classifies the errors. */
import { StalledReason } from '../api/conditions.ts';
import { toError } from '../kube/types/errors.ts';
import { ForeignObjectError } from '../kube/types/owner.ts';
import type { ResourceType } from '../kube/types/resource.ts';
import type { KubeObject } from '../kube/types/types.ts';
import type { Applier, ApplyResult, ChildWriteOptions, Contest } from '../kube/write/apply.ts';
import { InvalidObjectError } from '../kube/write/refusal.ts';
import { isOfPreviousTenant } from '../resources/names.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { isOrphanOf, isOwnOrOrphan, mayAdopt } from './decisions/adoption.ts';
import { conflictingWriter, policyUndone } from './decisions/conflicting-writer.ts';
import { waitForPreviousTenant } from './decisions/previous-tenant.ts';
import { refusalOfRequest } from './decisions/refusal.ts';
import { servesWithout } from './decisions/serving-impact.ts';
import type { TenantCause, Wait } from './model.ts';

/** How often a child that is being deleted is checked, in ms: no event reports the end of a Secret, or of a child without our labels. */
const DELETION_POLL_MS = 2_000;

/**
 * Writes children one by one. A refusal becomes a cause and does not keep the other children from being written; any other
 * error is collected and thrown once everything else was tried.
 */
export class ChildWriter {
  readonly refusals: TenantCause[] = [];
  readonly waits: Wait[] = [];
  readonly errors: Error[] = [];
  /** Children that another writer keeps changing. */
  readonly conflicts: TenantCause[] = [];
  /** Children without a controller that were taken over, as `Deployment acme-0`. */
  readonly adopted: string[] = [];
  /** Messages about children that an admission policy had changed, and did not change when they were updated. */
  readonly undone: string[] = [];
  /** When a child is written next that another writer keeps changing, or that must be deleted first, in ms. */
  retryAfterMs: number | undefined;
  readonly #applier: Pick<Applier, 'apply' | 'contest' | 'delete'>;
  readonly #tenant: CopilotTenant;
  readonly #signal: AbortSignal;

  constructor(applier: Pick<Applier, 'apply' | 'contest' | 'delete'>, tenant: CopilotTenant, signal: AbortSignal) {
    this.#applier = applier;
    this.#tenant = tenant;
    this.#signal = signal;
  }

  /** Returns the child as it is now, or undefined if it could not be applied. */
  async apply<T extends KubeObject>(
    type: ResourceType<T>,
    desired: T,
    live: T | undefined,
    options: ChildWriteOptions<T> = {},
  ): Promise<T | undefined> {
    try {
      const result = await this.#applier.apply(type, desired, live, this.#tenant, {
        mayAdopt: (found: T) => mayAdopt(found, desired, this.#tenant),
        ...options,
        signal: this.#signal,
      });
      this.#note(result, desired);
      return result.object;
    } catch (error) {
      this.#classify(error, desired);
      return undefined;
    }
  }

  /** Reports a writer that keeps changing a child which cannot be applied now. */
  leave<T extends KubeObject>(type: ResourceType<T>, live: T): void {
    const contest = this.#applier.contest(type, live);
    if (contest !== undefined) this.#conflict(live, contest, true);
  }

  /** Deletes a child that is no longer desired. Returns whether it was deleted now. */
  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    live: T,
    options: ChildWriteOptions<T> & { readonly propagationPolicy?: 'Foreground' } = {},
  ): Promise<boolean> {
    const mayAdopt = (found: T) => isOrphanOf(found, this.#tenant);
    const all = { mayAdopt, ...options, signal: this.#signal };
    return (await this.#attempt(live, () => this.#applier.delete(type, live, this.#tenant, all))) ?? false;
  }

  /** Deletes a child that exists and is the tenant's own, or one that has lost its owner. */
  async deleteOwn<T extends KubeObject>(type: ResourceType<T>, live: T | undefined): Promise<void> {
    if (live !== undefined && isOwnOrOrphan(live, this.#tenant)) await this.delete(type, live);
  }

  /** Deletes what a child has created, if `isOwn` finds that it has. Returns whether it was deleted. */
  async deleteIf<T extends KubeObject>(
    type: ResourceType<T>,
    live: T,
    isOwn: () => Promise<boolean>,
  ): Promise<boolean> {
    const signal = this.#signal;
    const remove = (): Promise<boolean> =>
      this.#applier.delete(type, live, this.#tenant, { isOurs: () => true, signal });
    return (await this.#attempt(live, async () => (await isOwn()) && (await remove()))) ?? false;
  }

  /** Runs requests that concern an object, and classifies their error. */
  async #attempt<T>(object: KubeObject, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      this.#classify(error, object);
      return undefined;
    }
  }

  #note<T extends KubeObject>({ action, adopted, undone, contest, retryAfterMs }: ApplyResult<T>, child: T): void {
    if (action === 'terminating') this.#retryAfter(DELETION_POLL_MS);
    if (retryAfterMs !== undefined) this.#retryAfter(retryAfterMs);
    if (adopted) this.adopted.push(`${child.kind} ${child.metadata.name}`);
    if (undone !== undefined) this.undone.push(policyUndone(child, undone));
    if (contest !== undefined) this.#conflict(child, contest, action === 'deferred');
  }

  #conflict(child: KubeObject, contest: Contest, reverted: boolean): void {
    const tenant = this.#tenant.metadata.name;
    this.conflicts.push(conflictingWriter({ child, tenant, contest, reverted }));
    this.#retryAfter(contest.endsInMs);
  }

  #retryAfter(ms: number): void {
    this.retryAfterMs = Math.min(ms, this.retryAfterMs ?? Infinity);
  }

  #classify(error: unknown, desired: KubeObject): void {
    const object = `${desired.kind} ${desired.metadata.name}`;
    if (error instanceof ForeignObjectError) {
      if (isOfPreviousTenant(error.live, this.#tenant)) {
        this.waits.push(waitForPreviousTenant(error.live));
        this.#retryAfter(DELETION_POLL_MS);
      } else {
        this.#refuse({ reason: StalledReason.ForeignObject, message: `${error.message}.` }, desired);
      }
      return;
    }
    const refusal = refusalOfRequest(error instanceof InvalidObjectError ? error.cause : error, object);
    if (refusal !== undefined) this.#refuse(refusal, desired);
    else this.errors.push(toError(error));
  }

  #refuse(cause: TenantCause, object: KubeObject): void {
    const isBesideServers = servesWithout(object, this.#tenant.metadata.name);
    this.refusals.push({ ...cause, ...(isBesideServers && { isBesideServers }) });
  }
}
