// An upgrade of the operator is no event for the tenants (docs/adr/0006-upgrade-restarts-no-tenant.md).
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { auditMark, isWrite } from '../../support/audit.ts';
import { previousChart } from '../../support/chart.ts';
import { READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { Release } from '../../support/release.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const SERVERS = 2;
/**
 * There is no image of a former version yet, so the former chart runs the present one; its rules are those of its time
 * and do not suffice, which is why it gets the account that the namespace has.
 */
const FORMER = { serviceAccount: { create: false, name: 'copilot-operator' }, rbac: { create: false } };
/** One that no node has: a server that took it would not start. */
const NEXT_IMAGE = 'localhost/copilot-cli:next';
const CHILDREN: readonly ResourceType[] = [
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
];

let namespace: TestNamespace;
let release: Release;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  release = await Release.install(namespace, { chart: previousChart(), values: FORMER });
  await namespace.createTenant('acme', { replicas: SERVERS, server: { binary: 'runtime' } });
  await namespace.waitForIdle('acme');
});
afterAll(async () => {
  await release.uninstall();
  await namespace.close();
});

/** The tenant, its children and its pods, with versions that change with every write. */
async function state() {
  const ours = 'copilot-operator.dev/tenant=acme';
  const children = await Promise.all(CHILDREN.map((type) => namespace.list(type, ours)));
  const versions = [await namespace.tenant('acme'), ...children.flat()].map(({ kind, metadata }) => ({
    kind,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
  }));
  const pods = (await namespace.list(Pod, ours)).map(({ metadata, status }) => ({
    name: metadata.name,
    uid: metadata.uid,
    restarts: status?.containerStatuses?.map(({ restartCount }) => restartCount),
  }));
  return { versions, pods };
}

/** Until the operator knows that every server answers, and has nothing left to do. */
async function atRest(): Promise<void> {
  const leader = await release.leader();
  const published = async (series: string) => (await release.metric(leader, series)) ?? 0;
  await waitFor(
    'every server was pinged and looked after',
    async () =>
      (await published('copilot_servers{state="Healthy"}')) === SERVERS &&
      (await published('controller_runtime_reconcile_total{controller="copilottenant",result="requeue_after"}')) > 1 &&
      (await published('workqueue_depth{name="copilottenant",controller="copilottenant"}')) === 0 &&
      (await published('controller_runtime_active_workers{controller="copilottenant"}')) === 0,
    { withinMs: READY_MS, everyMs: 200 },
  );
}

const operatorPods = async () => (await release.pods()).map(({ metadata }) => metadata.name);

async function expectUnnoticed(upgrade: () => Promise<void>): Promise<void> {
  await atRest();
  const [before, formerPods, mark] = [await state(), await operatorPods(), auditMark()];
  await upgrade();
  expect((await operatorPods()).filter((name) => formerPods.includes(name))).toEqual([]);
  await atRest();
  expect(await state()).toEqual(before);
  const requests = release.requestsSince(mark);
  // It did look, so it could have written.
  expect(requests).toContainEqual(expect.objectContaining({ verb: 'get', resource: 'secrets', name: 'acme-token' }));
  expect(requests.filter(isWrite).filter(({ resource, name }) => !isOwn(resource, name))).toEqual([]);
}

/** What the operator has in its own namespace: its Lease, and the keys of the gateway, which the former chart did not install. */
const isOwn = (resource: string, name: string) =>
  resource === 'leases' || (resource === 'secrets' && name.startsWith('copilot-gateway-'));

describe('a tenant that runs', () => {
  it('does not notice that the operator is upgraded from the former chart to this one', async () => {
    await expectUnnoticed(() => release.upgrade());
  });

  it('keeps its default image without a budget for the roll-out; the next server that starts gets the new one', async () => {
    const values = { podAnnotations: { upgraded: 'yes' }, serverImage: NEXT_IMAGE, maxConcurrentRollouts: 0 };
    const { pods } = await state();
    await release.upgrade({ values });
    await atRest();
    await waitFor('the tenant says that its servers wait', async () => {
      const { status } = await namespace.tenant('acme');
      return findCondition(status?.conditions, 'Reconciling')?.reason === 'RolloutPending';
    });
    expect(findCondition((await namespace.tenant('acme')).status?.conditions, 'Ready')?.status).toBe('True');
    expect((await state()).pods).toEqual(pods);
    const image = async (name: string) => (await namespace.deployment(name)).spec?.template.spec?.containers[0]?.image;
    expect(await image('acme-0')).toBe(SERVER_IMAGE);
    await namespace.createTenant('young', { server: { binary: 'runtime' } });
    expect(await waitFor('its server is created', () => image('young-0'))).toBe(NEXT_IMAGE);
  });
});
