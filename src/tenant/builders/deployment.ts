/** The Deployment of a server. */
import { durationMs } from '../../api/duration.ts';
import { SERVER_PORT } from '../../api/names.ts';
import type { ServerSpec } from '../../api/tenant.ts';
import { Deployment } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { childName, serverLabels, serverName, serverPods, TOKEN_KEY } from '../../resources/names.ts';
import { CONTAINER_SECURITY, POD_SECURITY, scheduling, SERVER_CONTAINER } from '../../resources/pod.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { DEFAULT_IMAGE_ANNOTATION, TemplateAnnotation } from '../deployments.ts';
import type { Restart, ServerImage } from '../model.ts';
import { serverMetadata } from './metadata.ts';

type PodTemplate = NonNullable<Deployment['spec']>['template'];
type PodSpec = NonNullable<PodTemplate['spec']>;
type Container = PodSpec['containers'][number];
type EnvVar = NonNullable<Container['env']>[number];

/** What the Deployment contains besides the spec. */
export interface DeploymentFacts {
  readonly image: ServerImage;
  /** False: the Deployment has zero replicas. */
  readonly running: boolean;
  /** Value of {@link TemplateAnnotation.credentials}. */
  readonly credentialsHash: string;
  readonly restart?: Restart | undefined;
}

// Paths of images/copilot-cli. The root file system is read-only, so every writable path is a volume.
const HOME = '/home/copilot';
const COPILOT_HOME = `${HOME}/.copilot`;
const WORKSPACE = '/workspace';
// The platform's own binaries: npm's loader would be PID 1 and ignore SIGTERM (docs/facts.md).
const PROGRAM = { cli: 'copilot', runtime: 'copilot-runtime' } as const;

/** At most one pod, and never two at once on the volume. */
export function deployment(tenant: CopilotTenant, index: number, facts: DeploymentFacts): Deployment {
  const name = serverName(tenant.metadata.name, index);
  const { image, isDefault } = facts.image;
  return {
    apiVersion: apiVersionOf(Deployment),
    kind: Deployment.kind,
    metadata: {
      ...serverMetadata(tenant, index, name),
      ...(isDefault && { annotations: { [DEFAULT_IMAGE_ANNOTATION]: image } }),
    },
    spec: {
      replicas: facts.running ? 1 : 0,
      // RollingUpdate would start a second writer before the first has stopped, or wait for the volume forever.
      strategy: { type: 'Recreate' },
      // The operator never rolls back to an old ReplicaSet; one is kept for inspection.
      revisionHistoryLimit: 1,
      selector: { matchLabels: serverPods(tenant.metadata.name, index) },
      template: podTemplate(tenant, index, facts),
    },
  };
}

function podTemplate(tenant: CopilotTenant, index: number, facts: DeploymentFacts): PodTemplate {
  const { name } = tenant.metadata;
  const { server } = tenant.spec;
  return {
    metadata: {
      labels: serverLabels(name, index),
      annotations: {
        [TemplateAnnotation.credentials]: facts.credentialsHash,
        ...(facts.restart && {
          [TemplateAnnotation.restartedAt]: facts.restart.at,
          [TemplateAnnotation.restartAttempt]: String(facts.restart.attempt),
        }),
      },
    },
    spec: {
      serviceAccountName: childName(name, 'servers'),
      // Set here and on the ServiceAccount: the agent runs shell commands, and could use a token to access the API.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // SIGTERM ends the CLI in 2 s without a drain; a longer period would only delay the replacement of a hung server.
      terminationGracePeriodSeconds: 15,
      securityContext: POD_SECURITY,
      containers: [
        {
          name: SERVER_CONTAINER,
          image: facts.image.image,
          command: [PROGRAM[server.binary]],
          args: [
            '--headless',
            '--host',
            '0.0.0.0',
            '--port',
            String(SERVER_PORT),
            '--no-auto-update',
            '--session-idle-timeout',
            String(durationMs(server.idleUnload) / 1000),
          ],
          workingDir: WORKSPACE,
          env: environment(tenant),
          ports: [{ name: 'copilot', containerPort: SERVER_PORT, protocol: 'TCP' }],
          resources: resources(server.resources),
          // For start-up and routing only: the port opens before the server responds, and stays open when it hangs. The
          // pinger checks whether it responds, so there is no liveness probe.
          startupProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 1, failureThreshold: 120 },
          readinessProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 5, failureThreshold: 3 },
          securityContext: CONTAINER_SECURITY,
          // The last output of a crashed server is in the pod's status: the operator has no permission to read logs.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          volumeMounts: [
            { name: 'home', mountPath: HOME },
            // Without it the container runtime creates the directory as root, and the CLI exits 1 with no output.
            { name: 'copilot-home', mountPath: COPILOT_HOME },
            { name: 'sessions', mountPath: `${COPILOT_HOME}/session-state` },
            { name: 'workspace', mountPath: WORKSPACE },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'home', emptyDir: { sizeLimit: '1Gi' } },
        // SQLite databases and logs of the CLI. WAL files must not be on a network volume, so they are not kept.
        { name: 'copilot-home', emptyDir: { sizeLimit: '2Gi' } },
        { name: 'sessions', persistentVolumeClaim: { claimName: serverName(name, index) } },
        { name: 'workspace', emptyDir: { sizeLimit: server.workspace.size } },
        { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
      ],
      ...scheduling(tenant),
    },
  };
}

// The API accepts a number as a quantity and stores text.
function resources({ requests, limits }: ServerSpec['resources']): NonNullable<Container['resources']> {
  const text = (map: Record<string, string | number>): Record<string, string> =>
    Object.fromEntries(Object.entries(map).map(([name, quantity]) => [name, String(quantity)]));
  return { ...(requests && { requests: text(requests) }), ...(limits && { limits: text(limits) }) };
}

function environment(tenant: CopilotTenant): EnvVar[] {
  return [
    { name: 'HOME', value: HOME },
    { name: 'COPILOT_HOME', value: COPILOT_HOME },
    { name: 'COPILOT_AUTO_UPDATE', value: 'false' },
    {
      name: 'COPILOT_CONNECTION_TOKEN',
      valueFrom: { secretKeyRef: { name: childName(tenant.metadata.name, 'token'), key: TOKEN_KEY } },
    },
    ...modelEnvironment(tenant),
  ];
}

// A headless server takes a provider from each session and ignores its environment, so a key here would only be exposed to
// the agent (docs/facts.md). The GitHub token only works in the environment.
function modelEnvironment({ spec: { model } }: CopilotTenant): EnvVar[] {
  if (!model?.github) return [];
  const { name, key } = model.github.tokenSecretRef;
  return [{ name: 'COPILOT_GITHUB_TOKEN', valueFrom: { secretKeyRef: { name, key } } }];
}
