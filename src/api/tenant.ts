/**
 * CopilotTenant: the schema is the source of the types below, of the CRD in crds/ and of docs/api.md. The CRD is what
 * the API server enforces, so every object that the operator reads is valid and has its defaults. At run time import
 * only types from here: constants that the operator needs live in names.ts and conditions.ts, so that zod stays out of
 * its memory.
 */
import { z } from 'zod';
import { duration, isDuration, objectName, section, storageSize, withRules } from './fields.ts';
import { model } from './model.ts';
import { ACCESSES, ISOLATIONS, MAX_SERVERS, PLACEMENTS, TOPOLOGIES, UNAVAILABLE_ACTIONS } from './names.ts';
import { network } from './network.ts';
import { containerResources, pods } from './pods.ts';
import { rates } from './rates.ts';
import { server } from './server.ts';
import { tenantStatus, type CopilotTenantStatus } from './tenant-status.ts';

export type {
  BindingCredential,
  CopilotTenantStatus,
  DrainReason,
  HibernationStatus,
  LastCleanup,
  ServerDrain,
  ServerState,
  ServerStatus,
} from './tenant-status.ts';

const storage = withRules(
  z.object({
    size: storageSize({ field: 'spec.storage.size', min: '16Mi', max: '64Ti' })
      .default('1Gi')
      .describe(
        "Size of each server's volume. It can grow later, if the StorageClass allows expansion. An increase that a volume has not reached yet can be reverted, down to `status.minimumStorageSize`; a volume never shrinks.",
      ),
    storageClassName: objectName()
      .exactOptional()
      .describe("StorageClass of the volumes. Default: the cluster's. Immutable."),
    accessMode: withRules(z.enum(['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany']), {
      rule: 'self == oldSelf',
      message: 'spec.storage.accessMode is immutable: it is set on existing volumes. Create a new tenant instead',
    })
      .default('ReadWriteOnce')
      .describe(
        'ReadWriteOnce works with every storage driver. With ReadWriteOncePod the cluster itself refuses a second pod on the volume, if the driver supports it. ReadWriteMany is for `spec.topology` SharedStorage, which requires it. Immutable.',
      ),
    reclaimPolicy: z
      .enum(['Retain', 'Delete'])
      .default('Retain')
      .describe(
        'What happens to a volume when its server is scaled down or the tenant is deleted. Retain: it stays, and a new tenant of the same name uses it again. Delete: it is deleted with all its sessions. Scaling to 0 replicas is a pause, which deletes no volume.',
      ),
  }),
  {
    rule: "(has(self.storageClassName) ? self.storageClassName : '') == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : '')",
    message: 'spec.storage.storageClassName is immutable: it is set on existing volumes. Create a new tenant instead',
    fieldPath: '.storageClassName',
  },
);

const health = withRules(
  z.object({
    interval: duration({ field: 'spec.health.interval', min: '1s', max: '1h' })
      .default('10s')
      .describe('Time between two pings of a server.'),
    timeout: duration({ field: 'spec.health.timeout', min: '1s', max: '5m' })
      .default('5s')
      .describe('Longest time to wait for the answer to a ping. At most the interval.'),
    failureThreshold: z
      .int()
      .min(1)
      .max(60)
      .default(3)
      .describe(
        'Failed pings in a row after which a server is unhealthy, and is restarted if it runs but does not answer.',
      ),
  }),
  {
    rule: `!${isDuration('self.timeout')} || !${isDuration('self.interval')} || duration(self.timeout) <= duration(self.interval)`,
    message:
      'spec.health.timeout must not be longer than spec.health.interval: shorten the timeout or lengthen the interval',
    fieldPath: '.timeout',
  },
);

const drain = z.object({
  timeout: duration({
    field: 'spec.drain.timeout',
    min: '1s',
    max: '24h',
    except: { value: '0s', meaning: 'for no wait' },
  })
    .default('5m')
    .describe(
      'The longest wait for running turns before a server is replaced or stopped: after a change of the spec or of credentials, for a new version of the operator, when it is suspended or scaled down. New prompts wait at the gateway until the server is back. 0s: no wait. Without effect where clients connect directly (`status.access` is Direct): their turns are lost.',
    ),
});

const hibernation = z.object({
  afterIdle: duration({ field: 'spec.hibernation.afterIdle', min: '1m', max: '720h' }).describe(
    'The tenant is put to sleep when nobody has used it for this long: no turn, no call about a session, nothing that waits for an answer, and no client attached to a session. Pings, lists and health checks do not count. A background task of a session does not either, but servers are not stopped while one runs. The gateway measures it, so it begins anew when the gateway is restarted; and it counts from when servers can be used at the earliest.',
  ),
  wakeTimeout: duration({ field: 'spec.hibernation.wakeTimeout', min: '5s', max: '1h' })
    .default('2m')
    .describe(
      'How long a wake may take. After it the clients that wait get an error with the reason, and the tenant goes back to sleep.',
    ),
});

// Five fields or a nickname. The values are checked by the CronJob, whose errors become a condition.
const CRON = /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*?,/-]+( [0-9A-Za-z*?,/-]+){4})$/;

const sessions = z.object({
  ttl: duration({ field: 'spec.sessions.ttl', min: '1m', max: '87600h' })
    .exactOptional()
    .describe(
      'The cleanup deletes sessions without activity for this long, unless they are loaded or a CopilotSession keeps them longer. Default: none; then no session is deleted by age.',
    ),
  cleanupSchedule: z
    .string()
    .max(128)
    .regex(CRON)
    .exactOptional()
    .describe(
      "When the cleanup runs: a cron expression of five fields, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually. Default: once an hour, at a minute derived from the tenant's name, so that not all tenants clean up at once.",
    ),
  timeZone: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/)
    .exactOptional()
    .describe('Time zone of `cleanupSchedule`, such as Europe/Berlin. Default: that of the kube-controller-manager.'),
  cleanupResources: containerResources
    .exactOptional()
    .describe(
      'CPU and memory of each pod that removes sessions: those of the cleanup, of sweeps and of deleted CopilotSessions. Default, which applies as a whole: requests of 50m CPU and 64Mi memory, and a limit of 256Mi memory.',
    ),
  cleanupDryRun: z
    .boolean()
    .default(false)
    .describe('The cleanup deletes nothing and reports in its log and in `status.lastCleanup` what it would delete.'),
  permissionTimeout: duration({ field: 'spec.sessions.permissionTimeout', min: '1s', max: '168h' })
    .default('10m')
    .describe(
      'How long a session waits for a client that can answer a permission prompt, a question or a hook. After it the gateway answers in place of the client: a permission and a tool that a hook decides on are denied, everything else ends with an error. It counts only while no client is connected that can answer. A changed value applies to what waits from then on. It has no effect where `status.access` is Direct.',
    ),
  maxConcurrent: z
    .int()
    .min(1)
    .max(10_000)
    .exactOptional()
    .describe(
      'The most sessions that each server has in memory at the same time. For a further one the gateway has the server unload the session that was not used for the longest time and does nothing; its next use loads it again, as its clients had set it up. While all are in use, a further one waits, and after 30 seconds its client is told to try again. It has no effect where `status.access` is Direct. Default: any number.',
    ),
  unavailable: z
    .enum(UNAVAILABLE_ACTIONS)
    .exactOptional()
    .describe(
      'What becomes of a call about a session whose server is away, because it was lost or is not reached. Wait: it waits until the server is back, for a session that nobody uses at most ten seconds. Fail: it gets an error at once, which names the server and says that nothing was sent. A turn that runs goes on in both cases when the server is back, and a server that is replaced after a drain is waited for. It has no effect where `status.access` is Direct. Default: Wait.',
    ),
  maxConcurrentTurns: z
    .int()
    .min(1)
    .max(10_000)
    .exactOptional()
    .describe(
      'The most turns that each server runs at the same time. A further prompt waits until one has ended: each user gets one turn before another user gets a second one, and clients are told their place by an event `session.info`. When 4096 prompts wait, a further one is refused, and its client is told to try again. It has no effect where `status.access` is Direct. Default: any number.',
    ),
  maxPerUser: z
    .int()
    .min(1)
    .max(10_000)
    .exactOptional()
    .describe(
      'The most sessions that one user may have at the same time; a further one is refused until the user deletes one of them. Sessions that it only takes part in do not count. A lower value ends no session. It requires `spec.isolation` Shared or SharedTrusted: a session of a Dedicated tenant belongs to no user. Default: any number.',
    ),
});

/** What users write. The API server fills in the defaults, so the operator reads complete objects. */
export const tenantSpec = withRules(
  z.object({
    suspend: z
      .boolean()
      .default(false)
      .describe(
        'Stops every server, when its running turns have ended or `spec.drain.timeout` is over, and keeps the volumes. Sessions continue where they were once it is false again.',
      ),
    replicas: z
      .int()
      .min(0)
      .max(MAX_SERVERS)
      .default(1)
      .describe(
        `Number of servers, at most ${MAX_SERVERS}. Each has its own volume, so a session stays with the server that it started on, unless \`spec.topology\` is SharedStorage. kubectl scale sets it.`,
      ),
    topology: z
      .enum(TOPOLOGIES)
      .exactOptional()
      .describe(
        'Where sessions are stored. Sticky: each server has its own volume, and a session stays with its server. SharedStorage: all servers mount one volume, and any of them resumes any session; never two at the same time, for which each server has a guard in front of it. It requires `spec.storage.accessMode` ReadWriteMany and that clients come through the gateway. Default: Sticky. Immutable.',
      ),
    server: section(server).describe('The servers: what runs, and where.'),
    access: z
      .enum(ACCESSES)
      .exactOptional()
      .describe(
        'How clients reach the servers. Gateway: at the address of the gateway, with a credential of the tenant; nobody else may connect to the servers. Direct: pods of the namespace that have the label copilot-operator.dev/client-of connect to a server, with its connection token. The binding Secret has address and token of either. Default: Gateway for a tenant that is created where a gateway is installed, else Direct; it is decided once, and `status.access` has it.',
      ),
    placement: z
      .enum(PLACEMENTS)
      .exactOptional()
      .describe(
        'Which server the gateway makes a new session on, of those that are ready and are not drained. LeastLoaded: that with the fewest turns, of those that with the fewest sessions in use. RoundRobin: one after the other. ByUser: the sessions of a user are on one server, as long as that takes new ones; a further server takes over its share of the users and no others. Clients that state no user are placed by LeastLoaded. It applies to new sessions only: a session stays where it is. It has no effect where `status.access` is Direct. Default: LeastLoaded.',
      ),
    isolation: z
      .enum(ISOLATIONS)
      .default('Dedicated')
      .describe(
        "Whether the users of the tenant see each other's sessions. Dedicated: all who are admitted are one trust domain. Shared: a session belongs to the user who made it, and nobody else finds it; no agent has a shell, files, local MCP servers or other tools of the server, because one with them could read every session. SharedTrusted: sessions are separated in the same way for clients, but agents have all tools, so a user can reach the sessions of others through them: for users who trust each other. With Shared and SharedTrusted clients connect through the gateway and state a user. Sessions that were made before belong to the owner in their CopilotSession, and to nobody without one; Dedicated shows all of them again. Connected clients have to connect again after a change.",
      ),
    model: model
      .exactOptional()
      .describe('The model that answers prompts. Without it, each client sends its own credentials with its sessions.'),
    storage: section(storage).describe('The volume of each server, which holds its sessions.'),
    sessions: section(sessions).describe('How long sessions are kept, and when the cleanup runs.'),
    rates: rates
      .exactOptional()
      .describe(
        'How fast clients may connect and send through the gateway. What is more gets a retriable error that says when to try again; answers to what a server has asked are never refused. Each replica of the gateway counts the clients that are connected to it. It has no effect where `status.access` is Direct. Default: as fast as they can.',
      ),
    health: section(health).describe('How the operator checks that a server answers.'),
    drain: section(drain).describe('How a server is drained before it is replaced or stopped.'),
    hibernation: hibernation
      .exactOptional()
      .describe(
        'Puts the tenant to sleep while nobody uses it: no server runs, volumes are kept, and the first call of a client about a session wakes it. It requires that clients come through the gateway. `suspend` is stronger: nobody wakes a suspended tenant. Default: it never sleeps.',
      ),
    network: section(network).describe('Which connections are allowed, and how the servers reach other hosts.'),
    pods: pods.exactOptional().describe('What all pods of the tenant have in common: servers, cleanups and sweeps.'),
  }),
  {
    rule: "(has(self.topology) ? self.topology : 'Sticky') == (has(oldSelf.topology) ? oldSelf.topology : 'Sticky')",
    message:
      'spec.topology is immutable, because sessions are on the volumes that follow from it: create a new tenant with the other topology, and copy the sessions to its volume (docs/shared-storage.md)',
    fieldPath: '.topology',
  },
  {
    rule: "!has(self.topology) || self.topology != 'SharedStorage' || !has(self.access) || self.access == 'Gateway'",
    message:
      'spec.topology SharedStorage needs the gateway, which decides which server may write a session: remove spec.access or set it to Gateway',
    fieldPath: '.access',
  },
  {
    // The default of the whole spec is checked before the defaults of its fields are there.
    rule: "!has(self.topology) || self.topology != 'SharedStorage' || (has(self.storage) && has(self.storage.accessMode) && self.storage.accessMode == 'ReadWriteMany')",
    message:
      'spec.topology SharedStorage requires spec.storage.accessMode ReadWriteMany: set it, and a spec.storage.storageClassName whose volumes several nodes can mount at the same time, such as NFS',
    fieldPath: '.topology',
  },
  {
    rule: "(has(self.topology) && self.topology == 'SharedStorage') || !has(self.storage) || !has(self.storage.accessMode) || self.storage.accessMode != 'ReadWriteMany'",
    message:
      'spec.storage.accessMode ReadWriteMany is for servers that share a volume: set spec.topology to SharedStorage, or use ReadWriteOnce',
    fieldPath: '.storage.accessMode',
  },
  {
    rule: "self.isolation == 'Dedicated' || !has(self.access) || self.access == 'Gateway'",
    message:
      'spec.isolation Shared and SharedTrusted need the gateway: remove spec.access or set it to Gateway, or set spec.isolation to Dedicated',
    fieldPath: '.access',
  },
  {
    rule: "!has(self.hibernation) || !has(self.access) || self.access == 'Gateway'",
    message:
      'spec.hibernation requires that clients come through the gateway, which wakes the tenant: remove it, remove spec.access or set it to Gateway',
    fieldPath: '.hibernation',
  },
  {
    // The default of the whole spec is checked before the defaults of its fields are there.
    rule: "!has(self.sessions) || !has(self.sessions.maxPerUser) || (has(self.isolation) && self.isolation != 'Dedicated')",
    message:
      'spec.sessions.maxPerUser requires spec.isolation Shared or SharedTrusted, because a session of a Dedicated tenant belongs to no user: remove it, or change spec.isolation',
    fieldPath: '.sessions.maxPerUser',
  },
  {
    rule: "!(has(self.access) && self.access == 'Direct' && has(self.model) && has(self.model.injection) && self.model.injection == 'Gateway')",
    message:
      'spec.model.injection Gateway requires that clients come through the gateway: set spec.access to Gateway, or spec.model.injection to ServerEnv',
    fieldPath: '.model.injection',
  },
);

export const tenant = z.object({
  spec: tenantSpec.prefault({}).describe('The desired state. An empty spec is a working tenant with one server.'),
  status: tenantStatus.exactOptional().describe('The observed state, written by the operator.'),
});

/** The spec as the operator reads it: with defaults. */
export type CopilotTenantSpec = z.output<typeof tenantSpec>;
/** The spec as users write it: everything optional. */
export type CopilotTenantSpecInput = z.input<typeof tenantSpec>;
export type ServerSpec = CopilotTenantSpec['server'];
export type EgressRule = NonNullable<CopilotTenantSpec['network']['egress']>[number];
export type { SecretKeyRef } from './fields.ts';

/**
 * The resource. The envelope (`apiVersion`, `kind`, `metadata`) is a parameter, because this folder imports nothing of
 * the project: `CopilotTenant<KubeObject>`.
 */
export type CopilotTenant<Envelope> = Envelope & { spec: CopilotTenantSpec; status?: CopilotTenantStatus };
