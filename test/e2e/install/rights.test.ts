// Least privilege: everything that the operator ever does, done once, and the API server's audit log read afterwards.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Annotation, GROUP } from '../../../src/api/names.ts';
import {
  ConfigMap,
  CronJob,
  Deployment,
  Job,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Role,
  Secret,
  Service,
  ServiceAccount,
} from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { removalName } from '../../../src/resources/names.ts';
import { auditMark, recordsSince } from '../../support/audit.ts';
import type { PolicyRule } from '../../support/chart.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { startOperator, type OperatorProcess } from '../../support/operator.ts';
import { grantedRights, usage, type Right, type Usage } from '../../support/rights.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(6 * READY_MS);

/** Rights whose use the audit log can't show, and what shows it. */
const UNSEEN: readonly Right[] = [
  // Asked for by an admission plugin that is off here: test/integration/install/chart.test.ts.
  'update copilot-operator.dev/copilottenants/finalizers',
];
const HASH = `${GROUP}/applied-hash`;
const SWEEP_AT = Annotation.sweepAt;
const SOON = { withinMs: 60_000, everyMs: 100 };

let namespace: TestNamespace;
let proxy: FaultProxy;
let operator: OperatorProcess;
let granted: Set<Right>;
let usedRights: Usage;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  const roles = await namespace.list(Role);
  granted = grantedRights(roles.flatMap(({ rules = [] }) => rules as PolicyRule[]));
  const mark = auditMark();
  await startThroughProxy();
  await everything();
  await operator.stop();
  const user = `system:serviceaccount:${namespace.name}:copilot-operator`;
  usedRights = usage(recordsSince(mark, `"${user}"`).filter((record) => record.user === user));
});
afterAll(async () => {
  await operator.stop();
  await proxy.stop();
  await namespace.close();
});

/**
 * The operator as its service account, electing a leader, and as if the API server could not stream lists: then caches
 * are filled by LIST, which a present API server is never asked for.
 */
async function startThroughProxy(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'rights-'));
  try {
    const path = await namespace.operatorKubeconfig();
    const config = JSON.parse(readFileSync(path, 'utf8')) as {
      clusters: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
    };
    const [entry] = config.clusters;
    const caFile = join(dir, 'ca.crt');
    writeFileSync(caFile, Buffer.from(entry?.cluster['certificate-authority-data'] ?? '', 'base64'));
    proxy = await FaultProxy.start({ url: entry?.cluster.server ?? '', caFile });
    const refused = { kind: 'respond', status: 400, reason: 'BadRequest' } as const;
    proxy.inject(({ query }) => query.has('sendInitialEvents'), refused, { times: Infinity });
    const throughProxy = { ...config, clusters: [{ ...entry, cluster: { server: proxy.url } }] };
    writeFileSync(path, JSON.stringify(throughProxy));
    operator = await startOperator(path, { namespace: namespace.name, args: ['--leader-elect=true'] });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const children: readonly [ResourceType, string][] = [
  // First, because it is not watched: the next look at the tenant finds it.
  [Secret, 'acme-binding'],
  [Deployment, 'acme-0'],
  [Service, 'acme-0'],
  [PersistentVolumeClaim, 'acme-0'],
  [ServiceAccount, 'acme-servers'],
  [NetworkPolicy, 'acme-servers'],
  [PodDisruptionBudget, 'acme-servers'],
  [CronJob, 'acme-cleanup'],
  [ConfigMap, 'acme-sessions'],
];

async function everything(): Promise<void> {
  await namespace.putSecret('github', { token: 'ghp_made-up' });
  await namespace.createTenant('acme', {
    replicas: 2,
    server: { binary: 'runtime' },
    storage: { reclaimPolicy: 'Delete' },
    model: { github: { tokenSecretRef: { name: 'github' } } },
    sessions: { ttl: '720h' },
  });
  // A volume that can't be had: why is in the events alone.
  await namespace.createTenant('stuck', { storage: { storageClassName: 'no-such-class' } });
  for (const name of ['named', 'blocked']) await namespace.createSession(name, 'acme');
  await namespace.createSession('fleeting', 'acme', { lifecycle: 'Ephemeral', ttl: '1m' });
  await namespace.waitForReady('acme');
  await namespace.waitForStalled('stuck', 'StorageClassNotFound');
  const evicted = await fillVolume();
  await editAll();
  await deleteOne(PodDisruptionBudget, 'acme-servers');
  // Its pods are left, and why is in their ReplicaSet.
  await namespace.kubectl.ok(['delete', 'deploy', 'acme-0', '--cascade=orphan', '-n', namespace.name]);
  await waitFor('Deployment acme-0 is there again', () => namespace.get(Deployment, 'acme-0'), SOON);
  await namespace.patchTenant('acme', { spec: { sessions: { ttl: null } } });
  const cleanedUp = async () =>
    [
      await namespace.get(CronJob, 'acme-cleanup'),
      await namespace.get(ConfigMap, 'acme-sessions'),
      await namespace.get(NetworkPolicy, 'acme-cleanup'),
    ].every((child) => child === undefined);
  await waitFor('nothing is left of the cleanup', cleanedUp, SOON);
  await namespace.kubectl.ok(['scale', 'ct/acme', '-n', namespace.name, '--replicas=1']);
  const gone = async () => (await namespace.get(PersistentVolumeClaim, 'acme-1')) === undefined;
  await waitFor('server 1 is gone with its volume', gone, SOON);
  const expired = async () => (await namespace.get(CopilotSession, 'fleeting')) === undefined;
  await waitFor('the time of the Ephemeral session is up', expired, { withinMs: 200_000, everyMs: 200 });
  // The second time it is the same event once more.
  for (const suspend of [true, false, true]) await setSuspend(suspend);
  await waitFor(
    'it was reported twice',
    async () => (await namespace.events('acme')).some(({ count }) => count === 2),
    SOON,
  );
  await removeFromVolume();
  await sweepVolume();
  // The kubelet measures volumes once in a minute or two.
  const away = async () => (await namespace.get(Pod, evicted)) === undefined;
  await waitFor('the evicted pod is gone', away, { withinMs: 200_000, everyMs: 500 });
  for (const tenant of ['acme', 'stuck', 'full']) await namespace.deleteTenant(tenant);
}

/** A server whose pod the kubelet will evict: the operator deletes it. Returns the name of the pod. */
async function fillVolume(): Promise<string> {
  await namespace.createTenant('full', { server: { binary: 'runtime', tmp: { size: '16Mi' } } });
  await namespace.waitForReady('full');
  const [pod] = await namespace.pods('full', 'full-0');
  await namespace.exec('full-0', 'sh', '-c', 'head -c 20000000 /dev/zero >/tmp/x');
  return pod?.metadata.name ?? '';
}

/** While no server runs, a Job removes a session's data. */
async function removeFromVolume(): Promise<void> {
  await waitFor('no server runs', async () => (await namespace.pods('acme', 'acme-0')).length === 0, SOON);
  await namespace.kubectl.ok(['delete', 'csn', 'named', '-n', namespace.name, '--timeout=120s']);
  // A foreign Job with the name of the next Job: it is read, and left alone.
  const name = removalName('acme', 0);
  await namespace.kubectl.ok(['delete', 'job', name, '-n', namespace.name]);
  await namespace.kubectl.ok(['create', 'job', name, '--image=localhost/nothing', '-n', namespace.name, '--', 'true']);
  await namespace.kubectl.ok(['delete', 'csn', 'blocked', '-n', namespace.name, '--timeout=120s']);
}

/** The sweep that a deletion through a server requests, requested by hand. */
async function sweepVolume(): Promise<void> {
  const isAsked = async () =>
    SWEEP_AT in ((await namespace.get(PersistentVolumeClaim, 'acme-0'))?.metadata.annotations ?? {});
  await namespace.kubectl.ok(['annotate', 'pvc', 'acme-0', `${SWEEP_AT}=now`, '-n', namespace.name]);
  const swept = async () => !(await isAsked()) && (await namespace.get(Job, 'acme-sweep0')) === undefined;
  await waitFor('the volume is swept', swept, { withinMs: 120_000, everyMs: 200 });
}

async function setSuspend(suspend: boolean): Promise<void> {
  await namespace.patchTenant('acme', { spec: { suspend } });
  const isSo = (reason: string) => (reason === 'Suspended') === suspend;
  await namespace.waitForTenant('acme', `has suspend ${suspend}`, (tenant) =>
    isSo(conditionOf(tenant, 'Ready').reason),
  );
}

async function editAll(): Promise<void> {
  const marks = new Map<string, string | undefined>();
  const markOf = (object: KubeObject | undefined) => object?.metadata.annotations?.[HASH];
  for (const [type, name] of children) {
    marks.set(type.kind, markOf(await namespace.get(type, name)));
    const patch = { metadata: { annotations: { [HASH]: 'edited' } } };
    await namespace.client.patch(type, namespace.ref(name), patch, { contentType: 'application/merge-patch+json' });
  }
  for (const [type, name] of children) {
    const repaired = async () => markOf(await namespace.get(type, name)) === marks.get(type.kind);
    await waitFor(`${type.kind} ${name} is as before`, repaired, SOON);
  }
}

async function deleteOne(type: ResourceType, name: string): Promise<void> {
  const { uid } = (await namespace.client.get(type, namespace.ref(name))).metadata;
  await namespace.client.delete(type, namespace.ref(name), { uid: uid ?? '' });
  await waitFor(`${name} is there again`, () => namespace.get(type, name), SOON);
}

describe('the rights of the operator', () => {
  it('suffice for all that it does', () => {
    expect([...usedRights.refused]).toEqual([]);
    expect([...usedRights.used].filter((right) => !granted.has(right))).toEqual([]);
  });

  it('are all of use', () => {
    expect([...granted].filter((right) => !usedRights.used.has(right))).toEqual(UNSEEN);
  });
});
