import { SERVER_PORT } from '../../api/names.ts';
import { durationMs } from '../../api/duration.ts';
import type { ServerSpec } from '../../api/tenant.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { Deployment } from '../../kube/types/builtins.ts';
import { childName, serverLabels, serverName, serverPods, TOKEN_KEY } from '../../resources/names.ts';
import { CONTAINER_SECURITY, POD_SECURITY, scheduling } from '../../resources/pod.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { serverMetadata } from './metadata.ts';
import type { ServerImage, Restart } from '../model.ts';
import { DEFAULT_IMAGE_ANNOTATION, TemplateAnnotation } from '../deployments.ts';

type PodTemplate = NonNullable<Deployment['spec']>['template'];
type PodSpec = NonNullable<PodTemplate['spec']>;
type Container = PodSpec['containers'][number];
type EnvVar = NonNullable<Container['env']>[number];

/** The name of the one container. */
const SERVER_CONTAINER = 'server';

export interface DeploymentFacts {
  readonly image: ServerImage;
  /** False: the Deployment is there, and has no pod. */
  readonly running: boolean;
  /** Value of {@link TemplateAnnotation.credentials}. */
  readonly credentialsHash: string;
  readonly restart?: Restart | undefined;
}

// Paths are those of images/copilot-cli; a read-only root needs every writable place as a volume.
const HOME = '/home/copilot';
const COPILOT_HOME = `${HOME}/.copilot`;
const WORKSPACE = '/workspace';
// The platform's own binaries: npm's loader would be PID 1 and ignore SIGTERM (docs/facts.md).
const PROGRAM = { cli: 'copilot', runtime: 'copilot-runtime' } as const;

/** The Deployment of server `index`: one pod at most, and never two at once on its volume. */
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
      // RollingUpdate would start the second writer before the first is gone, or wait for the volume for ever.
      strategy: { type: 'Recreate' },
      // One revision to look back at is enough: a server's history is its tenant's.
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
      // Twice, here and on the ServiceAccount: the agent runs shell commands, and a token would be its way to the API.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // SIGTERM ends the CLI in 2 s and nothing drains, so longer only delays the replacement of a hung server.
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
          // Start-up and routing only: the port opens before the server answers, and stays open when it hangs.
          // Whether it answers is the pinger's to say, so there is no liveness probe.
          startupProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 1, failureThreshold: 120 },
          readinessProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 5, failureThreshold: 3 },
          securityContext: CONTAINER_SECURITY,
          // Puts the last lines of a crashed server into the pod's status: the cause, without the right to read logs.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          volumeMounts: [
            { name: 'home', mountPath: HOME },
            // Without it the runtime makes the directory as root, and the CLI exits 1 without a word.
            { name: 'copilot-home', mountPath: COPILOT_HOME },
            { name: 'sessions', mountPath: `${COPILOT_HOME}/session-state` },
            { name: 'workspace', mountPath: WORKSPACE },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'home', emptyDir: { sizeLimit: '1Gi' } },
        // SQLite and logs of the CLI; WAL files must not lie on a network volume, so they are not kept.
        { name: 'copilot-home', emptyDir: { sizeLimit: '2Gi' } },
        { name: 'sessions', persistentVolumeClaim: { claimName: serverName(name, index) } },
        { name: 'workspace', emptyDir: { sizeLimit: server.workspace.size } },
        { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
      ],
      ...scheduling(tenant),
    },
  };
}

// The API takes a bare number for a quantity and stores text.
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

// A headless server takes a provider from each session and ignores one in its environment, so a key put here would only
// lie open to the agent (docs/facts.md). The GitHub token works from here alone.
function modelEnvironment({ spec: { model } }: CopilotTenant): EnvVar[] {
  if (!model?.github) return [];
  const { name, key } = model.github.tokenSecretRef;
  return [{ name: 'COPILOT_GITHUB_TOKEN', valueFrom: { secretKeyRef: { name, key } } }];
}
