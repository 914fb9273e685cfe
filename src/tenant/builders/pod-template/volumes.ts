/** The volumes of a server's pod and where they are mounted. */
import { serverName } from '../../../resources/names.ts';
import type { Container, PodSpec } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';
import { CA_BUNDLE, COPILOT_HOME, HOME, WORKSPACE } from './paths.ts';

export function volumeMounts({ spec: { network } }: CopilotTenant): NonNullable<Container['volumeMounts']> {
  return [
    { name: 'home', mountPath: HOME },
    // Without it the container runtime creates the directory as root, and the CLI exits 1 with no output.
    { name: 'copilot-home', mountPath: COPILOT_HOME },
    { name: 'sessions', mountPath: `${COPILOT_HOME}/session-state` },
    { name: 'workspace', mountPath: WORKSPACE },
    { name: 'tmp', mountPath: '/tmp' },
    ...(network.caBundle ? [{ name: 'ca-bundle', mountPath: CA_BUNDLE, readOnly: true }] : []),
  ];
}

export function volumes(
  { metadata, spec: { server, network } }: CopilotTenant,
  index: number,
): NonNullable<PodSpec['volumes']> {
  const ca = network.caBundle?.configMapKeyRef;
  return [
    { name: 'home', emptyDir: { sizeLimit: '1Gi' } },
    // SQLite databases and logs of the CLI. WAL files must not be on a network volume, so they are not kept.
    { name: 'copilot-home', emptyDir: { sizeLimit: '2Gi' } },
    { name: 'sessions', persistentVolumeClaim: { claimName: serverName(metadata.name, index) } },
    { name: 'workspace', emptyDir: { sizeLimit: server.workspace.size } },
    { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
    ...(ca ? [{ name: 'ca-bundle', configMap: { name: ca.name, items: [{ key: ca.key, path: 'ca.crt' }] } }] : []),
  ];
}
