/**
 * CopilotTenant: the schema is the source of the types below, of the CRD in crds/ and of docs/api.md. The CRD is what
 * the API server enforces, so whatever the operator reads has passed it and carries its defaults. At run time import
 * only types from here: constants that the operator needs live in names.ts and conditions.ts, so that zod stays out of
 * its memory.
 */
import { z } from 'zod';
import {
  atomicList,
  duration,
  isDuration,
  mapOf,
  objectName,
  quantity,
  secretKeyRef,
  section,
  storageSize,
  withRules,
} from './fields.ts';
import { MAX_SERVERS } from './names.ts';
import { network } from './network.ts';
import { affinity, imagePullSecrets, toleration } from './scheduling.ts';
import { tenantStatus, type CopilotTenantStatus } from './tenant-status.ts';

export type { CopilotTenantStatus, LastCleanup, ServerState, ServerStatus } from './tenant-status.ts';

const resources = z
  .object({
    requests: mapOf(quantity, 16)
      .exactOptional()
      .describe('Resources that are set aside for the container. What is only limited is requested at its limit.'),
    limits: mapOf(quantity, 16).exactOptional().describe('Resources that the container may not exceed.'),
  })
  // The CLI idles at 250-290 MB and its JavaScript heap ends at 4 GB; what the agent's own commands take comes on top.
  .default({ requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '4Gi' } })
  .describe(
    'CPU and memory of the server, including the commands that its agent runs. Taken as a whole: whoever sets limits replaces the default requests too.',
  );

const server = z.object({
  image: z
    .string()
    .min(1)
    .max(512)
    .regex(/^\S+$/)
    .exactOptional()
    .describe(
      "Image of the Copilot CLI server, by tag or digest. Changing it replaces the servers one at a time. Default: the operator's --server-image at the time when a server starts from nothing; a running server keeps the default that it was given when that one changes.",
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
  tolerations: atomicList(toleration, 32).exactOptional().describe('Taints of nodes that the servers accept.'),
  affinity: affinity.exactOptional().describe('Nodes and pods that the servers should run near to, or away from.'),
  runtimeClassName: objectName()
    .exactOptional()
    .describe('RuntimeClass of the pods, for example one of gVisor or Kata Containers.'),
  priorityClassName: objectName().exactOptional().describe('PriorityClass of the pods.'),
  imagePullSecrets: imagePullSecrets
    .exactOptional()
    .describe('Secrets with registry credentials, in the namespace of the tenant.'),
  workspace: section(
    z.object({
      size: storageSize({ field: 'spec.server.workspace.size', min: '16Mi', max: '64Ti' })
        .default('1Gi')
        .describe('Most that the workspace may hold. A pod that goes over it is evicted and started anew.'),
    }),
  ).describe('Working directory of the agent. It is empty at each start of a server: only sessions are kept.'),
  idleUnload: duration({
    field: 'spec.server.idleUnload',
    min: '1m',
    max: '720h',
    except: { value: '0s', meaning: 'for never' },
  })
    .default('30m')
    .describe(
      'A session that nobody used for this long is unloaded from memory; it stays on the volume and is loaded again on use. 0s: never. The cli looks every five minutes.',
    ),
});

const provider = z.object({
  type: z
    .enum(['openai', 'azure', 'anthropic'])
    .default('openai')
    .describe('API that the provider speaks. openai: any OpenAI-compatible one.'),
  wireApi: z
    .enum(['completions', 'responses'])
    .default('completions')
    .describe("OpenAI's older or newer API; for types openai and azure."),
  baseUrl: z
    .string()
    .max(1024)
    .regex(/^https?:\/\/[^\s]+$/)
    .describe('Address of the API, such as https://models.example.com/v1.'),
  model: z
    .string()
    .min(1)
    .max(256)
    .regex(/^\S+$/)
    .describe('Model to ask for, by the name that the provider gives it.'),
  apiKeySecretRef: secretKeyRef({
    key: 'api-key',
    use: "Secret key with the provider's API key. It is copied to the binding Secret and never to the servers, where the agent could read it. Leave out for a provider that asks for none.",
  }).exactOptional(),
  headers: withRules(
    mapOf(
      z
        .string()
        .max(1024)
        .regex(/^[^\r\n]*$/),
      16,
    ),
    {
      rule: "self.all(name, name.matches('^[A-Za-z0-9-]{1,64}$'))",
      message: 'spec.model.provider.headers takes header names of letters, digits and hyphens, at most 64 of them',
    },
  )
    .exactOptional()
    .describe('HTTP headers to send with each request to the provider. Not for secrets: they are readable here.'),
});

const model = withRules(
  z.object({
    github: z
      .object({
        tokenSecretRef: secretKeyRef({
          key: 'token',
          use: 'Secret key with the GitHub token. It is given to the server in its environment, where the agent can read it: use a token of this tenant only. A change is taken up by replacing the servers.',
        }),
      })
      .exactOptional()
      .describe('GitHub Copilot answers, on the subscription that the token belongs to.'),
    provider: provider
      .exactOptional()
      .describe(
        "The tenant's own model provider answers, without GitHub. Clients find it in the binding Secret and state it when they create a session: a Copilot CLI server takes no provider of its own for the sessions of SDK clients.",
      ),
  }),
  {
    rule: '!(has(self.github) && has(self.provider))',
    message: 'spec.model takes github or provider, not both: remove one',
  },
);

const storage = withRules(
  z.object({
    size: storageSize({ field: 'spec.storage.size', min: '16Mi', max: '64Ti' })
      .default('1Gi')
      .describe(
        "Size of each server's volume. It may grow later, when the StorageClass allows expansion. What has not grown yet can be taken back, down to `status.minimumStorageSize`; a volume never shrinks.",
      ),
    storageClassName: objectName()
      .exactOptional()
      .describe("StorageClass of the volumes. Default: the cluster's. Immutable."),
    accessMode: withRules(z.enum(['ReadWriteOnce', 'ReadWriteOncePod']), {
      rule: 'self == oldSelf',
      message: 'spec.storage.accessMode is immutable: it is fixed in the volumes that exist. Make a new tenant instead',
    })
      .default('ReadWriteOnce')
      .describe(
        'ReadWriteOnce is known by every storage driver. ReadWriteOncePod makes the cluster itself refuse a second pod on the volume, where the driver knows it. Immutable.',
      ),
    reclaimPolicy: z
      .enum(['Retain', 'Delete'])
      .default('Retain')
      .describe(
        'What becomes of a volume when its server is scaled away or the tenant is deleted. Retain: it stays, and a tenant of the same name takes it up again. Delete: it is deleted with all its sessions.',
      ),
  }),
  {
    rule: "(has(self.storageClassName) ? self.storageClassName : '') == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : '')",
    message:
      'spec.storage.storageClassName is immutable: it is fixed in the volumes that exist. Make a new tenant instead',
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
        'Failed pings in a row after which a server counts as unhealthy, and is restarted if it runs but does not answer.',
      ),
  }),
  {
    rule: `!${isDuration('self.timeout')} || !${isDuration('self.interval')} || duration(self.timeout) <= duration(self.interval)`,
    message:
      'spec.health.timeout must not be longer than spec.health.interval: shorten the timeout or lengthen the interval',
    fieldPath: '.timeout',
  },
);

// A shape of five fields or a nickname; what the numbers mean is the CronJob's to check, which tells it by a condition.
const CRON = /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*?,/-]+( [0-9A-Za-z*?,/-]+){4})$/;

const sessions = z.object({
  ttl: duration({ field: 'spec.sessions.ttl', min: '1m', max: '87600h' })
    .exactOptional()
    .describe(
      'A session without activity for this long is deleted by the cleanup, unless it is loaded or a CopilotSession keeps it longer. Default: none, and then no session is ever deleted by age.',
    ),
  cleanupSchedule: z
    .string()
    .max(128)
    .regex(CRON)
    .exactOptional()
    .describe(
      "When the cleanup runs: a cron expression of five fields, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually. Default: once an hour, at a minute that follows from the tenant's name, so that not all tenants clean up at once.",
    ),
  timeZone: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/)
    .exactOptional()
    .describe('Time zone of `cleanupSchedule`, such as Europe/Berlin. Default: that of the kube-controller-manager.'),
  cleanupDryRun: z
    .boolean()
    .default(false)
    .describe('The cleanup deletes nothing and tells in its log and in `status.lastCleanup` what it would delete.'),
});

/** What users write. Every default is filled in by the API server, so the operator reads complete objects. */
export const tenantSpec = z.object({
  suspend: z
    .boolean()
    .default(false)
    .describe(
      'Stops every server and keeps the volumes. Sessions go on from where they were once it is false again; a running turn is lost.',
    ),
  replicas: z
    .int()
    .min(0)
    .max(MAX_SERVERS)
    .default(1)
    .describe(
      `Number of servers, at most ${MAX_SERVERS}. Each has its own volume, so a session stays with the server that it began on. kubectl scale sets it.`,
    ),
  server: section(server).describe('The servers: what runs, and where.'),
  model: model
    .exactOptional()
    .describe('Who answers the prompts. Without it each client brings its own credentials with its sessions.'),
  storage: section(storage).describe('The volume of each server, which holds its sessions.'),
  sessions: section(sessions).describe('How long sessions are kept, and when the others are cleaned up.'),
  health: section(health).describe('How the operator tells whether a server answers.'),
  network: section(network).describe('Who may talk to whom.'),
});

export const tenant = z.object({
  spec: tenantSpec
    .prefault({})
    .describe('What the tenant should be. An empty spec is a working tenant with one server.'),
  status: tenantStatus.exactOptional().describe('What the operator observed. Written by it alone.'),
});

/** The spec as the operator reads it: with defaults. */
export type CopilotTenantSpec = z.output<typeof tenantSpec>;
/** The spec as people write it: everything optional. */
export type CopilotTenantSpecInput = z.input<typeof tenantSpec>;
export type ServerSpec = CopilotTenantSpec['server'];
export type EgressRule = NonNullable<CopilotTenantSpec['network']['egress']>[number];
export type { SecretKeyRef } from './fields.ts';

/**
 * The resource. The envelope (`apiVersion`, `kind`, `metadata`) is a parameter, because this folder imports nothing of
 * the project: `CopilotTenant<KubeObject>`.
 */
export type CopilotTenant<Envelope> = Envelope & { spec: CopilotTenantSpec; status?: CopilotTenantStatus };
