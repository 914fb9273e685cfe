// A real Argo CD that tracks by label, and an Application with the name of a tenant: does it take retained volumes for its own?
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ConfigMap, PersistentVolumeClaim } from '../../src/kube/types/builtins.ts';
import { Applications } from '../support/applications.ts';
import { READY_MS, TestNamespace } from '../support/cluster.ts';
import { GitRepository } from '../support/git-repository.ts';
import { waitFor } from '../support/wait.ts';

jest.setTimeout(6 * READY_MS);

/** Where argocd.sh puts Argo CD's own objects. */
const ARGOCD = 'copilot-argocd-test';
/** Name of the tenant and of the Application: so the label app.kubernetes.io/instance of the tenant's objects names the Application. */
const NAME = 'acme';
const SLOWLY = { withinMs: READY_MS, everyMs: 200 };

let namespace: TestNamespace;
let git: GitRepository;
let applications: Applications;

const argocd = (...args: string[]) => namespace.kubectl.ok([...args, '-n', ARGOCD]);
const setTracking = (method: string | null) =>
  argocd(
    'patch',
    'configmap',
    'argocd-cm',
    '--type=merge',
    '--patch',
    JSON.stringify({ data: { 'application.resourceTrackingMethod': method } }),
  );
const tenantYaml = (spec: object) =>
  JSON.stringify({
    apiVersion: 'copilot-operator.dev/v1alpha1',
    kind: 'CopilotTenant',
    metadata: { name: NAME },
    spec,
  });
/** An object that is in no git, has no owner, and carries the label: what Argo CD prunes. */
const bystander = (name: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: namespace.name, labels: { 'app.kubernetes.io/instance': NAME } },
});
const isGone = async (name: string) => (await namespace.get(ConfigMap, name)) === undefined;
const claim = async (name: string) => {
  const found = await namespace.get(PersistentVolumeClaim, name);
  return { uid: found?.metadata.uid, isTerminating: found?.metadata.deletionTimestamp !== undefined };
};

async function rollOut(message: string): Promise<void> {
  const revision = await git.commit(message);
  await argocd('annotate', 'application', NAME, '--overwrite', 'argocd.argoproj.io/refresh=normal');
  await applications.waitFor(NAME, { revision, health: 'Healthy' });
}

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  await setTracking('label');
  git = await GitRepository.make();
  git.write('tenants/acme.yaml', tenantYaml({ replicas: 2, server: { binary: 'runtime' } }));
  const revision = await git.commit('A tenant');
  applications = new Applications(ARGOCD);
  applications.installs(NAME);
  await namespace.kubectl.ok(['create', '-f', '-'], {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: { name: NAME, namespace: ARGOCD },
    spec: {
      project: 'default',
      source: { repoURL: git.url, targetRevision: 'main', path: 'tenants' },
      destination: { server: 'https://kubernetes.default.svc', namespace: namespace.name },
      syncPolicy: { automated: { prune: true, selfHeal: true }, syncOptions: ['ServerSideApply=true'] },
    },
  });
  await applications.waitFor(NAME, { revision, health: 'Healthy' });
});
afterAll(async () => {
  await argocd('delete', 'application', NAME, '--ignore-not-found', '--timeout=2m');
  await applications.stop();
  await setTracking(null);
  await namespace.close();
  git[Symbol.dispose]();
});

describe('an Argo CD that tracks by label, with an Application of the tenant’s name', () => {
  it('prunes what has the label, but not the volume of a server that was scaled down', async () => {
    const retained = await claim('acme-1');
    expect(retained.uid).toBeDefined();
    await namespace.client.create(ConfigMap, bystander('before'));
    await waitFor('it prunes an object with the label', () => isGone('before'), SLOWLY);

    git.write('tenants/acme.yaml', tenantYaml({ replicas: 1, server: { binary: 'runtime' } }));
    await rollOut('One server less');
    await namespace.waitForTenant(NAME, 'has one server', ({ status }) => status?.serversReady === '1/1');
    // A prune of what came later is over: the claim had its turn.
    await namespace.client.create(ConfigMap, bystander('after'));
    await waitFor('it prunes again', () => isGone('after'), SLOWLY);
    expect(await claim('acme-1')).toEqual({ ...retained, isTerminating: false });
    // Its status is of a comparison, which may be from before the prune.
    await waitFor('it is Synced', () => applications.get(NAME).status?.sync?.status === 'Synced', SLOWLY);
  });

  it('keeps the volumes when the tenant leaves git', async () => {
    const retained = await Promise.all(['acme-0', 'acme-1'].map(claim));
    git.write(
      'tenants/other.yaml',
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other' } }),
    );
    git.remove('tenants/acme.yaml');
    await rollOut('No tenant');
    await waitFor('the tenant is gone', async () => !(await names('ct')).includes(NAME), SLOWLY);
    await namespace.client.create(ConfigMap, bystander('last'));
    await waitFor('it prunes once more', () => isGone('last'), SLOWLY);
    expect(await Promise.all(['acme-0', 'acme-1'].map(claim))).toEqual(retained);
  });

  it('keeps the volumes when the Application is deleted with its resources', async () => {
    const retained = await Promise.all(['acme-0', 'acme-1'].map(claim));
    const finalizers = ['resources-finalizer.argocd.argoproj.io'];
    await argocd('patch', 'application', NAME, '--type=merge', '--patch', JSON.stringify({ metadata: { finalizers } }));
    await namespace.client.create(ConfigMap, bystander('beside'));
    await argocd('delete', 'application', NAME, '--timeout=2m');
    expect(await isGone('other')).toBe(true);
    expect(await Promise.all(['acme-0', 'acme-1'].map(claim))).toEqual(retained);
  });
});

const names = (kind: string) => namespace.kubectl.ok(['get', kind, '-o', 'name', '-n', namespace.name]);
