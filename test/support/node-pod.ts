/** Small programs of test/support/in-cluster, each as a pod of a test's namespace, for what must be in the cluster: its address counts, or who finds it by name. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Pod } from '../../src/kube/types/builtins.ts';
import { SERVER_IMAGE, type TestNamespace } from './cluster.ts';
import { PROJECT } from './tenant-api.ts';

export interface NodePodOptions {
  /** Name of the pod and its Service. */
  readonly name: string;
  /** File in test/support/in-cluster. */
  readonly program: string;
  readonly args: readonly string[];
  readonly ports: readonly number[];
  /** Secret that is mounted at /certificate. */
  readonly certificate?: string;
}

/** Resolves to the pod's address once it accepts connections on its first port. It goes with the namespace. */
export async function startNodePod(namespace: TestNamespace, options: NodePodOptions): Promise<string> {
  const { name, program, args, ports, certificate } = options;
  const metadata = { name, namespace: namespace.name, labels: { app: name } };
  const source = await readFile(join(PROJECT, 'test/support/in-cluster', program), 'utf8');
  const mounts = [{ name: 'program', mountPath: '/program' }];
  const volumes: object[] = [{ name: 'program', configMap: { name } }];
  if (certificate !== undefined) {
    mounts.push({ name: 'certificate', mountPath: '/certificate' });
    volumes.push({ name: 'certificate', secret: { secretName: certificate } });
  }
  const container = {
    name,
    // It has node, and nothing that the program needs besides.
    image: `${SERVER_IMAGE.slice(0, SERVER_IMAGE.lastIndexOf('/'))}/copilot-test-model:dev`,
    imagePullPolicy: 'IfNotPresent',
    command: ['node', `/program/${program}`, ...args],
    readinessProbe: { tcpSocket: { port: ports[0] }, periodSeconds: 1 },
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '256Mi' } },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    volumeMounts: mounts,
  };
  const spec = {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [container],
    volumes,
  };
  const service = { selector: metadata.labels, ports: ports.map((port) => ({ name: `p${port}`, port })) };
  const items = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [program]: source } },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: service },
    { apiVersion: 'v1', kind: 'Pod', metadata, spec },
  ];
  const { kubectl } = namespace;
  await kubectl.ok(['create', '-f', '-'], { apiVersion: 'v1', kind: 'List', items });
  await kubectl.ok(['wait', '-n', namespace.name, `pod/${name}`, '--for=condition=Ready', '--timeout=60s']);
  const { status } = await namespace.client.get(Pod, namespace.ref(name));
  if (status?.podIP === undefined) throw new Error(`pod ${name} has no address`);
  return status.podIP;
}
