/** The volumes of a server's pod and where they are mounted. */
import { serverName } from '../../../resources/names.ts';
import type { Container, PodSpec } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';
import { COPILOT_HOME, HOME, WORKSPACE } from './paths.ts';

export function volumeMounts(): NonNullable<Container['volumeMounts']> {
  return [
    { name: 'home', mountPath: HOME },
    // Without it the container runtime creates the directory as root, and the CLI exits 1 with no output.
    { name: 'copilot-home', mountPath: COPILOT_HOME },
    { name: 'sessions', mountPath: `${COPILOT_HOME}/session-state` },
    { name: 'workspace', mountPath: WORKSPACE },
    { name: 'tmp', mountPath: '/tmp' },
  ];
}

export function volumes({ metadata, spec: { server } }: CopilotTenant, index: number): NonNullable<PodSpec['volumes']> {
  return [
    { name: 'home', emptyDir: { sizeLimit: '1Gi' } },
    // SQLite databases and logs of the CLI. WAL files must not be on a network volume, so they are not kept.
    { name: 'copilot-home', emptyDir: { sizeLimit: '2Gi' } },
    { name: 'sessions', persistentVolumeClaim: { claimName: serverName(metadata.name, index) } },
    { name: 'workspace', emptyDir: { sizeLimit: server.workspace.size } },
    { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
  ];
}
