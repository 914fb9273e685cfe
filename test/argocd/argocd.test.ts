// A real Argo CD keeps the chart and the samples of a git repository in the real cluster. `make test-argocd` starts it.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { PersistentVolumeClaim } from '../../src/kube/types/builtins.ts';
import { AksStandIn } from '../support/aks-stand-in.ts';
import { Applications, type Application } from '../support/applications.ts';
import { CHART, REQUIRED_VALUES } from '../support/chart.ts';
import { READY_MS, TestNamespace } from '../support/cluster.ts';
import { GitRepository } from '../support/git-repository.ts';
import { LITTLE } from '../support/release.ts';
import { PROJECT } from '../support/tenant-api.ts';
import { output } from '../support/tools.ts';
import { waitFor } from '../support/wait.ts';

jest.setTimeout(6 * READY_MS);

/** Where argocd.sh puts Argo CD's own objects. */
const ARGOCD = 'copilot-argocd-test';
const SAMPLES = join(PROJECT, 'config/samples');
/** On a node that this test has labelled for the sample node-pool. */
const OURS = 'copilot-operator.dev/test=argocd';

let namespace: TestNamespace;
let git: GitRepository;
let applications: Applications;
/** The last commit. */
let head: string;

const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
const argocd = (...args: string[]) => namespace.kubectl.ok([...args, '-n', ARGOCD]);
const unlabel = () => namespace.kubectl.ok(['label', 'nodes', '-l', OURS, 'workload-', `${OURS.split('=')[0]}-`]);
let aks: AksStandIn;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  git = await GitRepository.make();
  git.copy(CHART, 'charts/copilot-operator');
  // Without the kustomization, which would ask for a program that Argo CD brings in its image.
  for (const sample of readdirSync(SAMPLES).filter((name) => name !== 'kustomization.yaml')) {
    git.copy(join(SAMPLES, sample), `tenants/${sample}`);
  }
  // All samples are on the one node of the tests, which has two CPUs, with a server more than they have.
  const three = readFileSync(join(SAMPLES, 'three-servers.yaml'), 'utf8');
  git.write('tenants/three-servers.yaml', three.replace('cpu: 250m', 'cpu: 50m'));
  git.copy(join(PROJECT, 'test/model/manifest.yaml'), 'tenants/model.yaml');
  git.write('tenants/chatting.yaml', chattingTenant());
  head = await git.commit('Everything');

  await unlabel();
  await namespace.kubectl.ok(['label', 'node', 'node1', 'workload=agents', OURS]);
  aks = await AksStandIn.make(namespace.kubectl, 'node1');
  applications = new Applications(ARGOCD);
  const { image, serverImage } = REQUIRED_VALUES;
  await createApplication('operator.yaml', 'operator', (spec) => {
    const values = { ...LITTLE, image, serverImage, watchNamespaces: [namespace.name] };
    spec['source'] = {
      ...(spec['source'] as object),
      helm: { releaseName: namespace.name, valuesObject: values },
    };
  });
  await createApplication('tenants.yaml', 'tenants');
});
afterAll(async () => {
  // The sessions while their tenants and the operator are there, which let go of them.
  for (const application of ['tenants', 'operator']) await removeApplication(application);
  await applications.stop();
  await unlabel();
  await aks.remove();
  await namespace.close();
  git[Symbol.dispose]();
});

/** Applies one of config/argocd, with the repository and the namespace of this test. */
async function createApplication(
  sample: string,
  name: string,
  adapt: (spec: Record<string, unknown>) => void = () => undefined,
): Promise<void> {
  const application = parse(readFileSync(join(PROJECT, 'config/argocd', sample), 'utf8')) as Application;
  const { spec } = application;
  spec['source'] = { ...(spec['source'] as object), repoURL: git.url };
  spec['destination'] = { ...(spec['destination'] as object), namespace: namespace.name };
  adapt(spec);
  applications.installs(name);
  const metadata = { ...application.metadata, name, namespace: ARGOCD };
  await namespace.kubectl.ok(['create', '-f', '-'], { ...application, metadata });
}

/** Deletes it and, as `argocd app delete` does, what it brought. */
async function removeApplication(name: string): Promise<void> {
  const finalizers = ['resources-finalizer.argocd.argoproj.io'];
  const patch = JSON.stringify({ metadata: { finalizers } });
  await argocd('patch', 'application', name, '--type=merge', '--patch', patch);
  await argocd('delete', 'application', name, '--timeout=3m');
}

/** Commits what was written into the repository and waits until the tenants are so, with this health. */
async function rollOut(message: string, health = 'Healthy'): Promise<void> {
  head = await git.commit(message);
  await refresh('tenants');
  await applications.waitFor('tenants', { revision: head, health });
}

/** Makes Argo CD look at git now, and not within its three minutes. */
const refresh = (application: string, how: 'normal' | 'hard' = 'normal') =>
  argocd('annotate', 'application', application, '--overwrite', `argocd.argoproj.io/refresh=${how}`);

/** A tenant on the test model, with a session. */
function chattingTenant(): string {
  return `
apiVersion: copilot-operator.dev/v1alpha1
kind: CopilotTenant
metadata:
  name: chatting
spec:
  server:
    binary: runtime
  model:
    provider:
      baseUrl: http://test-model.${namespace.name}.svc:8080/v1
      model: test-model
  network:
    egress:
      - podSelector:
          matchLabels: { app.kubernetes.io/name: test-model }
---
apiVersion: copilot-operator.dev/v1alpha1
kind: CopilotSession
metadata:
  name: talk
spec:
  tenantRef:
    name: chatting
`;
}

const tenantYaml = (name: string, spec: object) =>
  JSON.stringify({ apiVersion: 'copilot-operator.dev/v1alpha1', kind: 'CopilotTenant', metadata: { name }, spec });

const specOf = async (tenant: string) => (await namespace.tenant(tenant)).spec;

describe('a real Argo CD', () => {
  it('brings chart and samples to Synced and Healthy', async () => {
    await applications.waitFor('operator', { revision: head, health: 'Healthy' });
    await applications.waitFor('tenants', { revision: head, health: 'Healthy' });
    const { status } = applications.get('tenants');
    const ours = (status?.resources ?? []).filter(({ kind }) => kind.startsWith('Copilot'));
    expect(ours.length).toBeGreaterThan(10);
    for (const resource of ours) expect(resource).toMatchObject({ status: 'Synced', health: { status: 'Healthy' } });
    expect(applications.resource('tenants', 'CopilotTenant/globex').health?.message).toBe('3 of 3 servers are ready.');
  });

  it('sees no difference in a session that is used', async () => {
    const chat = ['scripts/chat.ts', '-n', namespace.name, '--session', 'talk', 'chatting', 'Hello'];
    await output(process.execPath, chat);
    await waitFor(
      'the turn is counted',
      async () => (await kubectl('get', 'csn', 'talk', '-o', 'jsonpath={.status.usage.turns}')) === '1',
      { withinMs: READY_MS, everyMs: 500 },
    );
    expect(applications.surprises).toEqual([]);
  });

  it('rolls out a commit that changes a tenant', async () => {
    await applications.changing(['CopilotTenant/hooli'], async () => {
      git.write(
        'tenants/light-runtime.yaml',
        tenantYaml('hooli', { server: { binary: 'runtime', idleUnload: '20m' } }),
      );
      await rollOut('hooli unloads later');
    });
    expect((await specOf('hooli')).server.idleUnload).toBe('20m');
    const tenant = await namespace.waitForReady('hooli');
    expect(tenant.status?.serversReady).toBe('1/1');
  });

  it('heals what somebody changed by hand, in a tenant and in the operator', async () => {
    const changed = ['CopilotTenant/hooli', `Deployment/${namespace.name}-copilot-operator`];
    await applications.changing(changed, async () => {
      await namespace.patchTenant('hooli', { spec: { server: { idleUnload: '5m' } } });
      await kubectl('scale', `deployment/${namespace.name}-copilot-operator`, '--replicas=1');
      await waitFor(
        'both are as in git',
        async () =>
          (await specOf('hooli')).server.idleUnload === '20m' &&
          (await kubectl('get', 'deployment', '-o', 'jsonpath={.items[?(@.spec.replicas==2)].metadata.name}')).includes(
            `${namespace.name}-copilot-operator`,
          ),
        { withinMs: READY_MS, everyMs: 500 },
      );
      for (const application of ['operator', 'tenants']) {
        await applications.waitFor(application, { revision: await revision(application), health: 'Healthy' });
      }
    });
    for (const resource of changed) expect(applications.differed).toContain(resource);
  });

  it('shows a suspended tenant as Suspended, and Healthy again when it is resumed', async () => {
    await applications.changing(['CopilotTenant/acme'], async () => {
      git.write('tenants/minimal.yaml', tenantYaml('acme', { suspend: true }));
      await rollOut('acme pauses', 'Suspended');
      // Its server stops when it is drained.
      await waitFor(
        'no server runs',
        () =>
          applications.resource('tenants', 'CopilotTenant/acme').health?.message ===
          'spec.suspend is true: no servers run; volumes are kept.',
        { withinMs: READY_MS, everyMs: 200 },
      );
      expect(applications.resource('tenants', 'CopilotTenant/acme').health?.status).toBe('Suspended');
      git.write('tenants/minimal.yaml', tenantYaml('acme', {}));
      await rollOut('acme goes on');
    });
  });

  it('shows a broken tenant as Degraded with the reason, and Healthy again when it is mended', async () => {
    await applications.changing(['CopilotTenant/acme'], async () => {
      git.write('tenants/minimal.yaml', tenantYaml('acme', { server: { image: 'localhost/nothing-here:1' } }));
      await rollOut('acme breaks', 'Degraded');
      const { health } = applications.resource('tenants', 'CopilotTenant/acme');
      expect(health?.message).toContain('localhost/nothing-here:1');
      git.write('tenants/minimal.yaml', tenantYaml('acme', {}));
      await rollOut('acme is mended');
    });
  });

  it('leaves alone what kubectl scale set where git has no replicas', async () => {
    await kubectl('scale', 'ct/hooli', '--replicas=2');
    await namespace.waitForTenant('hooli', 'has two servers', ({ status }) => status?.serversReady === '2/2');
    await refresh('tenants', 'hard');
    await applications.waitFor('tenants', { revision: head, health: 'Healthy' });
    expect((await specOf('hooli')).replicas).toBe(2);
    expect(applications.surprises).toEqual([]);
  });

  it('takes back what kubectl scale set where git has replicas, unless it is told to ignore that', async () => {
    await applications.changing(['CopilotTenant/globex'], async () => {
      await kubectl('scale', 'ct/globex', '--replicas=2');
      await waitFor('it is scaled back', async () => (await specOf('globex')).replicas === 3, {
        withinMs: READY_MS,
        everyMs: 500,
      });
      await applications.waitFor('tenants', { revision: head, health: 'Healthy' });
    });
    const { spec } = applications.get('tenants');
    const policy = spec['syncPolicy'] as { syncOptions: string[] };
    const ignore = {
      ignoreDifferences: [{ group: 'copilot-operator.dev', kind: 'CopilotTenant', jsonPointers: ['/spec/replicas'] }],
      syncPolicy: { ...policy, syncOptions: [...policy.syncOptions, 'RespectIgnoreDifferences=true'] },
    };
    await argocd('patch', 'application', 'tenants', '--type=merge', '--patch', JSON.stringify({ spec: ignore }));
    await kubectl('scale', 'ct/globex', '--replicas=2');
    // A commit makes Argo CD apply everything again.
    await applications.changing(['CopilotTenant/hooli'], async () => {
      git.write('tenants/light-runtime.yaml', tenantYaml('hooli', { server: { binary: 'runtime' } }));
      await rollOut('hooli unloads as usual');
    });
    expect((await specOf('globex')).replicas).toBe(2);
  });

  it('takes away what is gone from git, and the volume stays', async () => {
    const gone = ['CopilotTenant/soylent', 'CopilotSession/soylent-review', 'CopilotSession/soylent-scratch'];
    await applications.changing(gone, async () => {
      git.remove('tenants/session.yaml');
      await rollOut('soylent leaves');
    });
    expect(await kubectl('get', 'ct,csn', '-o', 'name')).not.toContain('soylent');
    const claim = await namespace.get(PersistentVolumeClaim, 'soylent-0');
    expect(claim?.status?.phase).toBe('Bound');
  });

  it('never saw a difference that nobody had made', async () => {
    for (const application of ['operator', 'tenants']) {
      await refresh(application, 'hard');
      await waitFor('it has looked again', async () => !(await annotations(application)).includes('refresh'), {
        withinMs: READY_MS,
        everyMs: 200,
      });
      await applications.waitFor(application, { revision: await revision(application), health: 'Healthy' });
    }
    expect(applications.surprises).toEqual([]);
  });
});

const annotations = (application: string) =>
  argocd('get', 'application', application, '-o', 'jsonpath={.metadata.annotations}');

/** The operator's Application is at the last commit that it looked at: it is not refreshed with each. */
const revision = (application: string) =>
  argocd('get', 'application', application, '-o', 'jsonpath={.status.sync.revision}');
