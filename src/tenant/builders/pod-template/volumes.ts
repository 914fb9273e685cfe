/** The volumes of a server's pod and where they are mounted. */
import type { ServerSpec } from '../../../api/tenant.ts';
import { claimName } from '../../../resources/names.ts';
import type { Container, PodSpec } from '../../../resources/pod.ts';
import { isSharedStorage, type CopilotTenant } from '../../../resources/tenant.ts';
import { guardVolumes } from './guard.ts';
import { CA_BUNDLE, CACHE, COPILOT_HOME, HOME, WORKSPACE } from './paths.ts';

type VolumeMounts = NonNullable<Container['volumeMounts']>;
type Volumes = NonNullable<PodSpec['volumes']>;

const SESSIONS = `${COPILOT_HOME}/session-state`;

/**
 * From revision 2 on a volume has several directories, so that one size holds for all of them: what tools cache counts as workspace,
 * and the CLI's own databases and logs as home. With the cache beside the workspace, `git clone URL .` finds it empty.
 */
export function volumeMounts({ spec: { network } }: CopilotTenant, revision: number): VolumeMounts {
  const bundle = network.caBundle ? [{ name: 'ca-bundle', mountPath: CA_BUNDLE, readOnly: true }] : [];
  // Without a mount of its own the container runtime creates the CLI's directory as root, and the CLI exits 1 with no output.
  if (revision < 2) {
    return [
      { name: 'home', mountPath: HOME },
      { name: 'copilot-home', mountPath: COPILOT_HOME },
      { name: 'sessions', mountPath: SESSIONS },
      { name: 'workspace', mountPath: WORKSPACE },
      { name: 'tmp', mountPath: '/tmp' },
      ...bundle,
    ];
  }
  return [
    { name: 'home', mountPath: HOME, subPath: 'home' },
    { name: 'home', mountPath: COPILOT_HOME, subPath: 'copilot' },
    { name: 'sessions', mountPath: SESSIONS },
    { name: 'workspace', mountPath: WORKSPACE, subPath: 'workspace' },
    { name: 'workspace', mountPath: CACHE, subPath: 'cache' },
    { name: 'tmp', mountPath: '/tmp' },
    ...bundle,
  ];
}

export function volumes(tenant: CopilotTenant, index: number, revision: number): Volumes {
  const { server, network } = tenant.spec;
  const sizes = sizeLimits(server, revision);
  const ca = network.caBundle?.configMapKeyRef;
  return [
    { name: 'home', emptyDir: { sizeLimit: sizes.home } },
    // SQLite databases and logs of the CLI. WAL files must not be on a network volume, so they are not kept.
    ...(revision < 2 ? [{ name: 'copilot-home', emptyDir: { sizeLimit: '2Gi' } }] : []),
    { name: 'sessions', persistentVolumeClaim: { claimName: claimName(tenant, index) } },
    { name: 'workspace', emptyDir: { sizeLimit: sizes.workspace } },
    { name: 'tmp', emptyDir: { sizeLimit: sizes.tmp } },
    ...(isSharedStorage(tenant) ? guardVolumes(tenant) : []),
    ...(ca ? [{ name: 'ca-bundle', configMap: { name: ca.name, items: [{ key: ca.key, path: 'ca.crt' }] } }] : []),
  ];
}

// A pod that exceeds one is evicted, with all turns that run on it: the limits protect the node, they are no budget.
function sizeLimits({ home, workspace, tmp }: ServerSpec, revision: number) {
  const defaults =
    revision < 2 ? { home: '1Gi', workspace: '1Gi', tmp: '1Gi' } : { home: '5Gi', workspace: '10Gi', tmp: '5Gi' };
  return {
    home: home?.size ?? defaults.home,
    workspace: workspace?.size ?? defaults.workspace,
    tmp: tmp?.size ?? defaults.tmp,
  };
}
