/** `status` of CopilotTenant. It changes only when a user would act on the change; everything finer is a metric. */
import { z } from 'zod';
import { atomicList, condition, listMap } from './fields.ts';
import { ACCESSES, HIBERNATION_PHASES, INJECTIONS, MAX_CREDENTIALS, MAX_SERVERS } from './names.ts';

/** States of a server in `status.servers`, in the order in which a server passes through them. */
export const SERVER_STATES = ['Pending', 'Starting', 'Healthy', 'Draining', 'Unhealthy', 'Failed', 'Stopped'] as const;
export type ServerState = (typeof SERVER_STATES)[number];

/**
 * Why a server drains. `Updating`: it is replaced to match the spec or the operator's version. `Suspending`: `spec.suspend` is true.
 * `ScalingDown`: it is beyond `spec.replicas`. `NodeDraining`: its node is cordoned or being removed, so that another pod follows elsewhere.
 * `Recycling`: `spec.server.recycle` wants a fresh process. `Hibernating`: nobody uses the tenant.
 */
export const DRAIN_REASONS = [
  'Updating',
  'Suspending',
  'ScalingDown',
  'NodeDraining',
  'Recycling',
  'Hibernating',
] as const;
export type DrainReason = (typeof DRAIN_REASONS)[number];

const percent = () => z.int().min(0).max(100);

const volumeUsage = z
  .object({
    time: z.iso.datetime().describe('When a pod with the volume mounted measured it.'),
    space: percent().describe('Used space in percent: by sessions and by anything else.'),
    files: percent()
      .exactOptional()
      .describe('Used inodes (files and directories) in percent. Absent where the file system has no such limit.'),
    shared: z
      .boolean()
      .exactOptional()
      .describe(
        'True when the file system is more than twice as large as the volume, for example because the volume is a directory of the node: then other data fills it too, and StoragePressure starts at 95 %.',
      ),
    capacity: z
      .string()
      .max(32)
      .describe('Capacity of the volume at that time. After a change of the capacity the measurement is ignored.'),
  })
  .describe(
    'How full the volume was when a cleanup or a sweep last had it mounted, rounded up. Absent before that. See docs/cleanup.md.',
  );
export type VolumeUsage = z.output<typeof volumeUsage>;

const drain = z
  .object({
    epoch: z.int().min(1).describe('Number of this drain: it rises with each drain of a server of the tenant.'),
    reason: z
      .enum(DRAIN_REASONS)
      .describe(
        'Updating: the pod is replaced to match the spec or the version of the operator. Suspending: spec.suspend is true. ScalingDown: the server is beyond spec.replicas. NodeDraining: the node of the pod is cordoned or being removed, and another pod follows elsewhere. Recycling: spec.server.recycle wants a fresh process. Hibernating: nobody has used the tenant for spec.hibernation.afterIdle; a call of a client ends the drain.',
      ),
    podUID: z.string().max(64).describe('UID of the pod that is drained.'),
    since: z.iso.datetime().describe('When this drain began.'),
    deadline: z.iso
      .datetime()
      .describe('When the pod is replaced or stopped even if turns still run: spec.drain.timeout after it began.'),
    turns: z.int().min(0).exactOptional().describe('Turns that it waits for. Absent: the gateway has not said yet.'),
  })
  .describe(
    'The gateway lets the running turns of this pod end and sends it no new ones. Stated until the pod is gone, or is not to be replaced any more.',
  );
export type ServerDrain = z.output<typeof drain>;

const serverStatus = z.object({
  name: z.string().min(1).max(63).describe('Name of the server: of its Deployment, its Service and its volume claim.'),
  state: z
    .enum(SERVER_STATES)
    .describe(
      'Pending: its pod is not running yet. Starting: it is running and has not answered a ping yet. Healthy: it answers. Draining: it answers, and its pod is replaced or stopped when its running turns have ended, see drain. Unhealthy: it stopped answering. Failed: it cannot run, see message. Stopped: it should not run.',
    ),
  version: z.string().max(64).exactOptional().describe('Version that the server itself reports.'),
  restarts: z.int().min(0).describe('How often the operator has restarted it because it did not answer.'),
  lastRestartTime: z.iso.datetime().exactOptional().describe('When the operator last restarted it.'),
  message: z.string().max(1024).exactOptional().describe('Why it does not run or answer, and what to do about it.'),
  volumeUID: z
    .string()
    .max(64)
    .exactOptional()
    .describe(
      'UID of the volume claim with its sessions, once bound. It distinguishes a lost volume from one that was never created.',
    ),
  volumeUsage: volumeUsage.exactOptional(),
  drain: drain.exactOptional(),
});
export type ServerStatus = z.output<typeof serverStatus>;

const lastCleanup = z
  .object({
    time: z.iso.datetime().describe('When the run ended.'),
    job: z.string().max(253).describe('Name of its Job.'),
    result: z.enum(['Succeeded', 'Failed']).describe('Whether it did everything that was due.'),
    failuresInARow: z.int().min(0).describe('Failed runs since the last one that succeeded, this one included.'),
    timedOut: z
      .boolean()
      .exactOptional()
      .describe(
        'True when its Job reached its deadline and its pod left no result: the pod did not start, or it hung. CleanupHealthy is False then.',
      ),
    dryRun: z.boolean().exactOptional().describe('True when it only reported what it would have deleted.'),
    kept: z.int().min(0).exactOptional().describe('Sessions that were kept.'),
    deleted: z
      .int()
      .min(0)
      .exactOptional()
      .describe('Deleted sessions; in a dry run, those that would have been deleted.'),
    freedBytes: z
      .int()
      .min(0)
      .exactOptional()
      .describe(
        'Bytes of the files that were deleted with sessions or swept; in a dry run, of those that would have been.',
      ),
    sweptFiles: z
      .int()
      .min(0)
      .exactOptional()
      .describe('Swept files: locks, directories of sessions without a turn, remains of killed runs.'),
    errors: z.int().min(0).exactOptional().describe('Number of errors; message has the first one.'),
    message: z.string().max(1024).exactOptional().describe('Why the run failed. Absent after a success.'),
  })
  .describe('The last finished run of the cleanup.');
export type LastCleanup = z.output<typeof lastCleanup>;

const hibernation = z
  .object({
    phase: z
      .enum(HIBERNATION_PHASES)
      .describe(
        'Running: servers run. Draining: they are about to stop, unless a client uses the tenant meanwhile. Stopping: they are stopped. Stopped: no server runs, and the first call about a session wakes the tenant. Waking: servers start, because a client waits.',
      ),
    epoch: z.int().min(1).describe('It rises with each change of the phase.'),
    since: z.iso.datetime().describe('When this phase began.'),
    countedAnew: z
      .boolean()
      .exactOptional()
      .describe(
        'True of a wake whose time was over when the next operator process came: it was not there to see whether servers started, so the time is counted anew, once, from `since`.',
      ),
    failure: z
      .object({
        epoch: z.int().min(1).describe('The epoch at which it failed: clients that waited before are told.'),
        message: z.string().max(1024).describe('Why it failed, and what to do.'),
      })
      .exactOptional()
      .describe('That the last wake has failed. Absent after one that succeeded.'),
  })
  .describe('Whether the tenant sleeps. Absent for one that never did.');
export type HibernationStatus = z.output<typeof hibernation>;

const bindingCredential = z.object({
  sha256: z
    .string()
    .max(64)
    .regex(/^[0-9a-f]{64}$/)
    .describe('SHA-256 of the credential in hexadecimal.'),
  since: z.iso.datetime().describe('Since when it is valid.'),
});
export type BindingCredential = z.output<typeof bindingCredential>;

export const tenantStatus = z.object({
  observedGeneration: z
    .int()
    .min(0)
    .exactOptional()
    .describe('Value of metadata.generation that this status was computed from.'),
  conditions: listMap(condition, 'type', 16)
    .exactOptional()
    .describe(
      'Ready, Reconciling, Stalled, Healthy, ModelConfigured, CleanupHealthy, StoragePressure and, with `spec.hibernation`, Hibernated, each with a reason and a message.',
    ),
  access: z
    .enum(ACCESSES)
    .exactOptional()
    .describe(
      'How clients reach the servers: `spec.access`, or what was decided for a tenant without it. Absent: Direct, of a tenant whose status was last written by an operator that knew no gateway.',
    ),
  modelInjection: z
    .enum(INJECTIONS)
    .exactOptional()
    .describe(
      'How sessions get the login of `spec.model`: `spec.model.injection`, or what was decided for a tenant without it. Absent: ServerEnv, of a tenant whose status was last written by an operator that knew nothing else.',
    ),
  modelSecret: z
    .object({
      name: z.string().max(253).describe('Name of the Secret.'),
      key: z.string().max(253).describe('Key of the Secret that has the login.'),
    })
    .exactOptional()
    .describe(
      'Secret and key that the gateway may read for the sessions of the tenant: those of `spec.model`, while the operator finds that they may be used. The gateway reads no other. Absent: none, or modelInjection is ServerEnv.',
    ),
  endpoint: z
    .string()
    .max(512)
    .exactOptional()
    .describe(
      'Address that clients connect to, as host:port: of the gateway, or with access Direct of the first server. The binding Secret has the token for it.',
    ),
  binding: z
    .object({
      name: z.string().max(253).describe('Name of the Secret.'),
      credentials: atomicList(bindingCredential, MAX_CREDENTIALS)
        .exactOptional()
        .describe(
          'Credentials that the gateway accepts, the newest first: that of the Secret and, for an hour after it was replaced, the one before. Absent with access Direct.',
        ),
    })
    .exactOptional()
    .describe(
      'Secret that clients connect with, in the form of the Service Binding specification: type, provider, host, port, uri, token.',
    ),
  serverVersion: z
    .string()
    .max(64)
    .exactOptional()
    .describe('Version of the Copilot CLI that the servers report; while they differ, the lowest.'),
  replicas: z.int().min(0).exactOptional().describe('Servers that exist.'),
  readyReplicas: z.int().min(0).exactOptional().describe('Servers that run the desired version and answer pings.'),
  serversReady: z
    .string()
    .max(16)
    .exactOptional()
    .describe('Ready and desired servers, such as 2/3: the column SERVERS of kubectl get.'),
  selector: z
    .string()
    .max(512)
    .exactOptional()
    .describe('Label selector of the server pods, for the scale subresource.'),
  servers: listMap(serverStatus, 'name', MAX_SERVERS)
    .exactOptional()
    .describe('State of each server. Servers beyond spec.replicas are listed while they drain.'),
  volumeServer: z
    .string()
    .max(63)
    .exactOptional()
    .describe(
      'The server through which the operator works on the volume that all servers share (`spec.topology` SharedStorage): it deletes expired sessions there. Absent: each server has its own volume, or none is ready.',
    ),
  drainEpoch: z.int().min(0).exactOptional().describe('The epoch of the last drain. Absent: there was none.'),
  hibernation: hibernation.exactOptional(),
  sessions: z
    .object({
      active: z.int().min(0).describe('Sessions with a running turn.'),
      loaded: z
        .int()
        .min(0)
        .describe(
          'Sessions in the memory of a server, including the active ones. A resumed session counts from its next turn on.',
        ),
      total: z.int().min(0).describe('Sessions on the volumes. A session counts from its first turn on.'),
    })
    .exactOptional()
    .describe('Sessions of all servers, according to their last answers; at most a minute old while servers run.'),
  clients: z
    .int()
    .min(0)
    .exactOptional()
    .describe(
      'Clients that are connected through the gateway, according to the last answer of its replicas; at most a minute old. Absent with access Direct, and before the first client.',
    ),
  lastActivityTime: z.iso.datetime().exactOptional().describe('Last activity of a turn of any session, to the minute.'),
  lastCleanup: lastCleanup.exactOptional(),
  storage: z
    .object({
      capacity: z.string().max(32).describe('Capacity of the volume.'),
      used: z
        .string()
        .max(32)
        .describe(
          'Estimated use by its sessions: the sizes of their files and 26Ki a session for blocks and directories, rounded up to whole percents of the capacity.',
        ),
    })
    .exactOptional()
    .describe(
      'The fullest volume of the servers, as last reported by them. While the tenant is suspended it stays as it was, until a cleanup deletes sessions on the volumes: then it is unknown until a server runs again. It does not include other files on a volume: `servers[].volumeUsage` does.',
    ),
  minimumStorageSize: z
    .string()
    .max(32)
    .exactOptional()
    .describe(
      'The smallest `spec.storage.size` that is accepted: the largest size that a volume claim of the tenant requests, or that its volume has where that is less. 0 while there is no claim.',
    ),
});
export type CopilotTenantStatus = z.output<typeof tenantStatus>;
