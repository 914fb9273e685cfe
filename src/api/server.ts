/** `spec.server` of CopilotTenant: what a server runs, and where. */
import { z } from 'zod';
import { atomicList, duration, mapOf, objectName, storageSize } from './fields.ts';
import { containerResources, environment } from './pods.ts';
import { affinity, imagePullSecrets, toleration } from './scheduling.ts';

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

const recycle = z.object({
  maxAge: duration({ field: 'spec.server.recycle.maxAge', min: '10m', max: '8760h' })
    .exactOptional()
    .describe('A server is recycled when its process has run for this long.'),
  maxPingLatency: duration({ field: 'spec.server.recycle.maxPingLatency', min: '1s', max: '5m' })
    .exactOptional()
    .describe(
      'A server is recycled when `spec.health.failureThreshold` pings in a row were answered later than this. Without effect if it is not shorter than `spec.health.timeout`: such a server is restarted, because it counts as unhealthy.',
    ),
});

/** `spec.server`. */
export const server = z.object({
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
  recycle: recycle
    .exactOptional()
    .describe(
      'When a server that works is replaced by a fresh one, such as one whose memory has grown: after its running turns have ended, as for any other replacement, one server of the tenant at a time, and `--max-concurrent-rollouts` of all tenants. Default: never.',
    ),
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
