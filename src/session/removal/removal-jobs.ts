/** The Jobs that remove the data of deleted sessions from the volumes of servers that do not run: one at a time for each volume. */
import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGER, SESSION_DATA_FINALIZER } from '../../api/names.ts';
import { Job, PersistentVolumeClaim, type Pod } from '../../kube/types/builtins.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import {
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNamespaceTerminating,
  StatusError,
} from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { ForeignObjectError, isControlledBy } from '../../kube/types/owner.ts';
import { LruMap } from '../../kube/cache/lru.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { msLeft } from '../../kube/types/time.ts';
import { keyOf, nameOf } from '../../kube/types/types.ts';
import { hasFinalizer } from '../../kube/write/finalizer.ts';
import { serverMessage } from '../../kube/write/refusal.ts';
import { type EventWarning, latestWarning, saysWhyNoPod } from '../../resources/event-warning.ts';
import { jobEnd } from '../../resources/job.ts';
import { claimName, removalName } from '../../resources/names.ts';
import { missingPermission } from '../../resources/permission.ts';
import { BY_ID, BY_TENANT, idKey, sessionIdOf, tenantKeyOf } from '../../resources/session-index.ts';
import { holderOf } from '../../resources/session-holder.ts';
import type { CopilotSession } from '../../resources/session.ts';
import { CopilotTenant } from '../../resources/tenant.ts';
import { removalJob } from '../builders/removaljob.ts';
import { START_GRACE_MS, whyJobWaits } from '../decisions/job-wait.ts';
import { isStillRead, removalProgress } from '../decisions/removal-progress.ts';
import type { SessionCause, SessionOperatorFacts } from '../model.ts';

/**
 * The progress of a removal from a volume. `NoVolume`: there is none, and so no data. `Waiting`: not finished; `until`: the session is
 * not given up before, ms since the epoch. `Failed`: it will not succeed; the data stays on the volume.
 */
export type JobProgress =
  | { readonly state: 'Deleted' | 'NotFound' | 'OwnedByAnother' | 'NoVolume' }
  | {
      readonly state: 'Waiting' | 'Failed';
      readonly message: string;
      readonly until?: number | undefined;
      /** Soon more is known. */
      readonly refreshing?: boolean | undefined;
      readonly cause?: SessionCause | undefined;
    };

export interface RemovalJobsOptions {
  readonly client: KubeClient;
  readonly jobs: ReadonlyStore<Job>;
  /** Those of Jobs are read. */
  readonly pods: ReadonlyStore<Pod>;
  /** With the indexes of resources/session-index.ts. */
  readonly sessions: ReadonlyStore<CopilotSession>;
  readonly facts: SessionOperatorFacts;
  readonly clock: Clock;
}

/** What a removal is about. */
export interface RemovalRequest {
  readonly session: CopilotSession;
  readonly tenant: CopilotTenant;
  /** Index of the server whose volume has the data; 0 if all share it. */
  readonly index: number;
  /** When the deletion was first reconciled, ms. */
  readonly since: number;
  /** Whether the data of another deleted session of the tenant is to be removed from the same volume. */
  readonly isOnVolume: (session: CopilotSession, tenant: CopilotTenant) => boolean;
  readonly signal: AbortSignal;
}

/** From a deletion to the Job, ms: those that are deleted together are removed together. */
const GATHER_MS = 1_000;

/** How long the events of a Job count as read, in ms. */
const EVENTS_MS = 15_000;
const MAX_REFUSALS = 1_000;

export class RemovalJobs {
  readonly #options: RemovalJobsOptions;
  /** By UID of the Job. */
  readonly #refusals = new LruMap<string, { at: number; warning: Promise<EventWarning | undefined> }>(MAX_REFUSALS);

  constructor(options: RemovalJobsOptions) {
    this.#options = options;
  }

  /** Creates the Job for the volume of one server when it is needed and may be, and returns the progress with this session. */
  async ensure(request: RemovalRequest): Promise<JobProgress> {
    const { session, tenant, index, since, signal } = request;
    const { jobs, clock } = this.#options;
    const { namespace = '', uid = '' } = session.metadata;
    const name = removalName(tenant.metadata.name, index);
    const job = jobs.get({ namespace, name });
    if (job !== undefined) {
      if (!isControlledBy(job, tenant)) return { state: 'Failed', message: new ForeignObjectError(job, job).message };
      const progress = removalProgress(uid, job, this.#podsIn(namespace), clock.now());
      if (progress.state === 'Waiting') {
        const why = jobEnd(job) === undefined ? await this.#whyItWaits(job, signal) : undefined;
        return { ...waiting(name, why), until: progress.until, refreshing: jobEnd(job) !== undefined };
      }
      if (progress.state === 'Failed') return { state: 'Failed', message: `Job ${name} failed: ${progress.message}` };
      if (progress.state !== 'Again') return { state: progress.state };
      return this.#makeRoom(request, job);
    }
    if (msLeft(since, GATHER_MS, clock.now()) > 0) return { ...waiting(name), refreshing: true };
    const claim = await this.claim(namespace, claimName(tenant, index), signal);
    return claim === undefined ? { state: 'NoVolume' } : this.#create(request, name);
  }

  /** The volume claim of a server; undefined when it is deleted or terminating, and its data with it. */
  async claim(namespace: string, name: string, signal: AbortSignal): Promise<PersistentVolumeClaim | undefined> {
    const claim = await ignoreNotFound(
      this.#options.client.get(PersistentVolumeClaim, { namespace, name }, { signal }),
    );
    return claim?.metadata.deletionTimestamp === undefined ? claim : undefined;
  }

  /** Deletes a finished Job so that the next one can take its name. */
  async #makeRoom({ tenant, session, signal }: RemovalRequest, job: Job): Promise<JobProgress> {
    const { client, sessions, clock } = this.#options;
    const pods = this.#podsIn(job.metadata.namespace ?? '');
    const readers = sessions
      .byIndex(BY_TENANT, keyOf(tenant))
      .filter((other) => isBeingRemoved(other) && other.metadata.uid !== session.metadata.uid);
    if (!readers.some(({ metadata }) => isStillRead(metadata.uid ?? '', job, pods, clock.now()))) {
      const { uid = '' } = job.metadata;
      try {
        await ignoreNotFound(client.delete(Job, nameOf(job), { uid, propagationPolicy: 'Background', signal }));
      } catch (error) {
        // The next Job has the name by now.
        if (!isConflict(error)) throw error;
      }
    }
    return { ...waiting(job.metadata.name), refreshing: true };
  }

  async #create({ session, tenant, index, isOnVolume, signal }: RemovalRequest, name: string): Promise<JobProgress> {
    const { client, facts } = this.#options;
    if (facts.operatorImage === undefined) {
      const message =
        'the operator does not know its own image, which the Job that deletes the data needs: upgrade the chart, or set --operator-image of the operator';
      return { state: 'Failed', message };
    }
    // The cache may show a tenant that does not run, while its server starts.
    const live = await ignoreNotFound(client.get(CopilotTenant, nameOf(tenant), { signal }));
    if (live === undefined || !isSameState(live, tenant)) {
      return { state: 'Waiting', message: `CopilotTenant ${tenant.metadata.name} has changed`, refreshing: true };
    }
    const others = this.#othersOn(tenant, session, isOnVolume);
    const job = removalJob(tenant, index, { image: facts.operatorImage, sessions: [session, ...others] });
    try {
      await client.create(Job, job, { fieldManager: FIELD_MANAGER, signal });
    } catch (error) {
      // Another reconcile was faster, or the cache is behind.
      if (isAlreadyExists(error)) return this.#existing(tenant, job, signal);
      if (isNamespaceTerminating(error)) {
        return { state: 'Failed', message: `Job ${name} can't be created: the namespace is being deleted` };
      }
      if (!(error instanceof StatusError) || !(isForbidden(error) || isInvalid(error))) throw error;
      // A quota or a policy may change before the deadline.
      const message = `Job ${name} was refused: ${serverMessage(error)}`;
      return { state: 'Waiting', message, cause: missingPermission(error) };
    }
    return waiting(name);
  }

  async #existing(tenant: CopilotTenant, job: Job, signal: AbortSignal): Promise<JobProgress> {
    const live = await ignoreNotFound(this.#options.client.get(Job, nameOf(job), { signal }));
    if (live !== undefined && !isControlledBy(live, tenant)) {
      return { state: 'Failed', message: new ForeignObjectError(live, live).message };
    }
    return waiting(job.metadata.name);
  }

  /** The other sessions whose data is to be removed from the same volume, those that were deleted first before others. */
  #othersOn(
    tenant: CopilotTenant,
    session: CopilotSession,
    isOnVolume: RemovalRequest['isOnVolume'],
  ): CopilotSession[] {
    const { sessions } = this.#options;
    const isHolder = (other: CopilotSession) => {
      const same = sessions.byIndex(BY_ID, idKey(tenantKeyOf(other), sessionIdOf(other)));
      return holderOf(same)?.metadata.uid === other.metadata.uid;
    };
    return sessions
      .byIndex(BY_TENANT, keyOf(tenant))
      .filter((other) => other.metadata.uid !== session.metadata.uid && isBeingRemoved(other))
      .filter((other) => isHolder(other) && isOnVolume(other, tenant))
      .toSorted((a, b) => (deletedAt(a) < deletedAt(b) ? -1 : 1));
  }

  async #whyItWaits(job: Job, signal: AbortSignal): Promise<string | undefined> {
    const pods = this.#podsIn(job.metadata.namespace ?? '');
    const refused = await this.#refusalOf(job, signal);
    return whyJobWaits({ job, pods, refused, now: this.#options.clock.now() });
  }

  /** The event of a Job whose pod cannot be created, read once for all sessions that wait for it. */
  async #refusalOf(job: Job, signal: AbortSignal): Promise<string | undefined> {
    const { client, clock } = this.#options;
    const { uid = '', creationTimestamp = '' } = job.metadata;
    const now = clock.now();
    if (now - Date.parse(creationTimestamp) < START_GRACE_MS) return undefined;
    const known = this.#refusals.get(uid);
    if (known !== undefined && msLeft(known.at, EVENTS_MS, now) > 0) return (await known.warning)?.message;
    const warning = latestWarning(job, client, signal, saysWhyNoPod);
    this.#refusals.set(uid, { at: now, warning });
    return (await warning)?.message;
  }

  #podsIn(namespace: string): readonly Pod[] {
    return this.#options.pods.list(namespace);
  }
}

const deletedAt = ({ metadata }: CopilotSession): string => `${metadata.deletionTimestamp} ${metadata.name}`;

/** Whether the servers of both are meant to run, or are not: a wake changes the status only. */
function isSameState(a: CopilotTenant, b: CopilotTenant): boolean {
  const [one, other] = [a, b].map(({ metadata: { uid, generation }, status }) => [
    uid,
    generation,
    status?.hibernation?.epoch,
  ]);
  return isDeepStrictEqual(one, other);
}

function isBeingRemoved(session: CopilotSession): boolean {
  const { metadata, spec } = session;
  if (metadata.deletionTimestamp === undefined || spec.deletionPolicy !== 'Delete') return false;
  return hasFinalizer(session, SESSION_DATA_FINALIZER);
}

// One text from the deletion of the resource to the end of the Job, since each change of it is a write for each session.
function waiting(name: string, why?: string): JobProgress & { readonly state: 'Waiting' } {
  const message = `waiting for Job ${name}, which removes deleted sessions from this volume`;
  return { state: 'Waiting', message: why === undefined ? message : `${message}; ${why}` };
}
