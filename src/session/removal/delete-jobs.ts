/** The Jobs that remove sessions from the volumes of servers that do not run. */
import { FIELD_MANAGER } from '../../api/names.ts';
import { Job, PersistentVolumeClaim } from '../../kube/types/builtins.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import {
  isAlreadyExists,
  isForbidden,
  isInvalid,
  isNamespaceTerminating,
  StatusError,
} from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { ForeignObjectError, isControlledBy } from '../../kube/types/owner.ts';
import type { ReadonlyStore } from '../../kube/cache/store.ts';
import { nameOf } from '../../kube/types/types.ts';
import { jobEnd } from '../../resources/job.ts';
import { serverName } from '../../resources/names.ts';
import type { CopilotSession } from '../../resources/session.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { deleteJob, deleteJobName } from '../builders/deletejob.ts';
import { missingPermission } from '../../resources/permission.ts';
import { serverMessage } from '../../kube/write/refusal.ts';
import type { SessionCause, SessionOperatorFacts } from '../model.ts';

/**
 * The progress of a Job. `Done`: the data is removed. `NoVolume`: there is no volume, and so no data. `Waiting`: it has not finished.
 * `Failed`: it will not succeed; the data stays on the volume.
 */
export type JobProgress =
  | { readonly state: 'Done' | 'NoVolume' }
  | { readonly state: 'Waiting' | 'Failed'; readonly message: string; readonly cause?: SessionCause | undefined };

export interface DeleteJobsOptions {
  readonly client: KubeClient;
  readonly jobs: ReadonlyStore<Job>;
  readonly facts: SessionOperatorFacts;
}

/** One Job for each session and volume. */
export class DeleteJobs {
  readonly #options: DeleteJobsOptions;

  constructor(options: DeleteJobsOptions) {
    this.#options = options;
  }

  /** Creates the Job for the volume of one server unless it exists, and returns its progress. */
  async ensure(
    session: CopilotSession,
    tenant: CopilotTenant,
    index: number,
    signal: AbortSignal,
  ): Promise<JobProgress> {
    const { jobs } = this.#options;
    const ref = { namespace: session.metadata.namespace ?? '', name: deleteJobName(session, index) };
    const found = jobs.get(ref);
    if (found !== undefined) return progressOf(session, found);
    const claim = await this.claim(ref.namespace, serverName(tenant.metadata.name, index), signal);
    if (claim === undefined) return { state: 'NoVolume' };
    return this.#create(session, tenant, index, signal);
  }

  /** The volume claim of a server; undefined when it is deleted or terminating, and its data with it. */
  async claim(namespace: string, name: string, signal: AbortSignal): Promise<PersistentVolumeClaim | undefined> {
    const claim = await ignoreNotFound(
      this.#options.client.get(PersistentVolumeClaim, { namespace, name }, { signal }),
    );
    return claim?.metadata.deletionTimestamp === undefined ? claim : undefined;
  }

  async #create(
    session: CopilotSession,
    tenant: CopilotTenant,
    index: number,
    signal: AbortSignal,
  ): Promise<JobProgress> {
    const { client, facts } = this.#options;
    if (facts.operatorImage === undefined) {
      const message =
        'the operator does not know its own image, which the Job that deletes the data needs: upgrade the chart, or set --operator-image of the operator';
      return { state: 'Failed', message };
    }
    const job = deleteJob(session, tenant, index, facts.operatorImage);
    const { name } = job.metadata;
    try {
      await client.create(Job, job, { fieldManager: FIELD_MANAGER, signal });
      return waiting(name);
    } catch (error) {
      if (isAlreadyExists(error)) {
        // The cache is behind.
        const live = await ignoreNotFound(client.get(Job, nameOf(job), { signal }));
        return live === undefined ? waiting(name) : progressOf(session, live);
      }
      if (isNamespaceTerminating(error)) {
        return { state: 'Failed', message: `Job ${name} can't be created: the namespace is being deleted` };
      }
      if (!(error instanceof StatusError) || !(isForbidden(error) || isInvalid(error))) throw error;
      // A quota or a policy may change before the deadline.
      const message = `Job ${name} was refused: ${serverMessage(error)}`;
      return { state: 'Waiting', message, cause: missingPermission(error) };
    }
  }
}

function progressOf(session: CopilotSession, job: Job): JobProgress {
  const { name } = job.metadata;
  if (!isControlledBy(job, session)) {
    return { state: 'Failed', message: new ForeignObjectError(job, job).message };
  }
  const end = jobEnd(job);
  if (end === undefined) return waiting(name);
  if (end.failure === undefined) return { state: 'Done' };
  return { state: 'Failed', message: `Job ${name} failed: ${end.failure || 'no reason given'}` };
}

function waiting(name: string): JobProgress {
  return { state: 'Waiting', message: `Job ${name} has not finished yet` };
}
