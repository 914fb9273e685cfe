/**
 * CopilotTenant: the schema is the source of the types below, of the CRD in crds/ and of docs/api.md. The CRD is what
 * the API server enforces, so every object that the operator reads is valid and has its defaults. At run time import
 * only types from here: constants that the operator needs live in names.ts and conditions.ts, so that zod stays out of
 * its memory.
 */
import { z } from 'zod';
import { atomicList, duration, isDuration, mapOf, objectName, section, storageSize, withRules } from './fields.ts';
import { model } from './model.ts';
import { ACCESSES, ISOLATIONS, MAX_SERVERS } from './names.ts';
import { network } from './network.ts';
import { containerResources, environment, pods } from './pods.ts';
import { affinity, imagePullSecrets, toleration } from './scheduling.ts';
import { tenantStatus, type CopilotTenantStatus } from './tenant-status.ts';

export type {
  BindingCredential,
  CopilotTenantStatus,
  LastCleanup,
  ServerState,
  ServerStatus,
} from './tenant-status.ts';

const resources = containerResources
  // The CLI idles at 250-290 MB and its JavaScript heap is limited to 4 GB; the agent's own commands come on top.
  .default({ requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '4Gi' } })
  .describe(
    'CPU and memory of the server, including the commands that its agent runs. The default applies as a whole: setting limits replaces the default requests too.',
  );

/** A volume for temporary files. Without a default in the schema: it depends on the revision of the pod template. */
const scratch = (volume: string, size: string) =>
  z.object({
    size: storageSize({ field: `spec.server.${volume}.size`, min: '16Mi', max: '64Ti' })
      .exactOptional()
      .describe(
        `Size limit. A server that exceeds it is evicted and recreated; its running turns are lost. Nothing is reserved, and the volume is empty at each start of a server. Default: ${size}; 1Gi for a server that a former operator started, until it is replaced.`,
      ),
  });

const server = z.object({
  image: z
    .string()
    .min(1)
    .max(512)
    .regex(/^\S+$/)
    .exactOptional()
    .describe(
      "Image of the Copilot CLI server, by tag or digest. Changing it replaces the servers one at a time. Default: the operator's --server-image when the server is first started; a running server keeps it when the operator's default changes.",
    ),
  binary: z
    .enum(['cli', 'runtime'])
    .default('cli')
    .describe(
      'Program of the image to run. cli: the documented Copilot CLI. runtime: the light host inside it, which starts in a fraction of the time and memory but is not documented by GitHub as a server.',
    ),
  resources,
  nodeSelector: mapOf(z.string().max(63), 32)
    .exactOptional()
    .describe('Labels that a node must have to run the servers.'),
  tolerations: atomicList(toleration, 32).exactOptional().describe('Taints of nodes that the servers tolerate.'),
  affinity: affinity.exactOptional().describe('Affinity and anti-affinity of the servers to nodes and pods.'),
  runtimeClassName: objectName()
    .exactOptional()
    .describe('RuntimeClass of the pods, for example one of gVisor or Kata Containers.'),
  priorityClassName: objectName().exactOptional().describe('PriorityClass of the pods.'),
  imagePullSecrets: imagePullSecrets
    .exactOptional()
    .describe('Secrets with registry credentials, in the namespace of the tenant.'),
  env: environment
    .exactOptional()
    .describe(
      'Further environment variables of the servers. The agent and its commands can read all of them, also values from Secrets: use credentials of this tenant only. Copilot itself uses a GH_TOKEN or GITHUB_TOKEN as its login, unless spec.model.github is set. A change replaces the servers one at a time.',
    ),
  githubHost: z
    .string()
    .max(253)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/)
    .exactOptional()
    .describe(
      'GitHub host that Copilot logs in at, for GitHub Enterprise Cloud with data residency, such as example.ghe.com. Default: github.com. It applies to the token of spec.model.github and to tokens that clients send with their sessions. A change replaces the servers one at a time.',
    ),
  home: scratch('home', '5Gi')
    .exactOptional()
    .describe("The home directory of the agent, and the CLI's own databases and logs."),
  tmp: scratch('tmp', '5Gi').exactOptional().describe('The directory /tmp.'),
  workspace: scratch('workspace', '10Gi')
    .exactOptional()
    .describe('The working directory of the agent, and the caches of package managers in `$HOME/.cache`.'),
  idleUnload: duration({
    field: 'spec.server.idleUnload',
    min: '1m',
    max: '720h',
    except: { value: '0s', meaning: 'for never' },
  })
    .default('30m')
    .describe(
      'A session that was not used for this long is unloaded from memory; it stays on the volume and is loaded again when it is used. 0s: never. The cli checks every five minutes.',
    ),
});

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
    accessMode: withRules(z.enum(['ReadWriteOnce', 'ReadWriteOncePod']), {
      rule: 'self == oldSelf',
      message: 'spec.storage.accessMode is immutable: it is set on existing volumes. Create a new tenant instead',
    })
      .default('ReadWriteOnce')
      .describe(
        'ReadWriteOnce works with every storage driver. With ReadWriteOncePod the cluster itself refuses a second pod on the volume, if the driver supports it. Immutable.',
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
});

/** What users write. The API server fills in the defaults, so the operator reads complete objects. */
export const tenantSpec = withRules(
  z.object({
    suspend: z
      .boolean()
      .default(false)
      .describe(
        'Stops every server and keeps the volumes. Sessions continue where they were once it is false again; a running turn is lost.',
      ),
    replicas: z
      .int()
      .min(0)
      .max(MAX_SERVERS)
      .default(1)
      .describe(
        `Number of servers, at most ${MAX_SERVERS}. Each has its own volume, so a session stays with the server that it started on. kubectl scale sets it.`,
      ),
    server: section(server).describe('The servers: what runs, and where.'),
    access: z
      .enum(ACCESSES)
      .exactOptional()
      .describe(
        'How clients reach the servers. Gateway: at the address of the gateway, with a credential of the tenant; nobody else may connect to the servers. Direct: pods of the namespace that have the label copilot-operator.dev/client-of connect to a server, with its connection token. The binding Secret has address and token of either. Default: Gateway for a tenant that is created where a gateway is installed, else Direct; it is decided once, and `status.access` has it.',
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
    health: section(health).describe('How the operator checks that a server answers.'),
    network: section(network).describe('Which connections are allowed, and how the servers reach other hosts.'),
    pods: pods.exactOptional().describe('What all pods of the tenant have in common: servers, cleanups and sweeps.'),
  }),
  {
    rule: "self.isolation == 'Dedicated' || !has(self.access) || self.access == 'Gateway'",
    message:
      'spec.isolation Shared and SharedTrusted need the gateway: remove spec.access or set it to Gateway, or set spec.isolation to Dedicated',
    fieldPath: '.access',
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
