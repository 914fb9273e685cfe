// An operator whose CRDs are not all installed: Helm never upgrades those of a chart, and CRDs get deleted by mistake.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { copilotSessionCrd, copilotTenantCrd, type Crd } from '../../../src/api/crd.ts';
import { Deployment } from '../../../src/kube/types/builtins.ts';
import { defineResource } from '../../../src/kube/types/resource.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { connect } from '../../support/kube.ts';
import { startOperator, type OperatorProcess } from '../../support/operator.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(180_000);

const CustomResourceDefinition = defineResource<KubeObject>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
});
const namespace = 'default';
const PORT = 18_089;
/** The longest back-off of a list, and some time to be busy. */
const HEALS = { withinMs: 60_000, everyMs: 200 };

let apiServer: ApiServer;
let users: ReturnType<typeof connect>;
let operator: OperatorProcess;

const install = (crd: Crd) => users.client.create(CustomResourceDefinition, crd);

async function uninstall(crd: Crd): Promise<void> {
  const { name } = crd.metadata;
  const { uid = '' } = (await users.client.get(CustomResourceDefinition, { namespace: '', name })).metadata;
  await users.client.delete(CustomResourceDefinition, { namespace: '', name }, { uid });
}

async function createTenant(name: string): Promise<void> {
  const metadata = { namespace, name };
  const tenant = { apiVersion: 'copilot-operator.dev/v1alpha1', kind: 'CopilotTenant', metadata, spec: {} };
  await waitFor('it is served', () => users.client.create(CopilotTenant, tenant as CopilotTenant), HEALS);
}

async function createSession(name: string, tenant: string): Promise<void> {
  const metadata = { namespace, name };
  // Retained data need no server to be deleted from, and none runs here.
  const spec = { tenantRef: { name: tenant }, deletionPolicy: 'Retain' };
  const session = { apiVersion: 'copilot-operator.dev/v1alpha1', kind: 'CopilotSession', metadata, spec };
  await waitFor('it is served', () => users.client.create(CopilotSession, session as CopilotSession), HEALS);
}

const isServed = (name: string): Promise<unknown> =>
  waitFor('its server is created', () => users.client.get(Deployment, { namespace, name: `${name}-0` }), HEALS);

async function probe(path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`);
  return { status: response.status, body: await response.text() };
}

beforeAll(async () => {
  apiServer = await startApiServer();
  users = connect(apiServer.kubeconfig());
  await install(copilotTenantCrd());
  operator = await startOperator(apiServer.kubeconfig(), {
    args: [`--health-probe-bind-address=127.0.0.1:${PORT}`, `--metrics-bind-address=127.0.0.1:${PORT}`],
  });
});
afterAll(async () => {
  await operator?.stop();
  await users?.transport.close();
  await apiServer?.stop();
});

it('serves the tenants while the CRD of the sessions is missing, says so, and serves the sessions when it comes', async () => {
  await createTenant('alone');
  await isServed('alone');
  expect(await probe('/readyz?verbose')).toEqual({
    status: 200,
    body: '[+]caches ok: not served, install the CRDs: copilotsessions\nreadyz check passed\n',
  });
  expect((await probe('/metrics')).body).toMatch(
    /^reflector_watches_total\{group="copilot-operator.dev",resource="copilotsessions",reason="ResourceMissing"\} [1-9]/m,
  );
  expect(operator.errors()).toMatchObject([
    { msg: expect.stringContaining('install its CRD'), resource: expect.any(String) },
  ]);

  await install(copilotSessionCrd());
  await createSession('first', 'alone');
  await waitFor(
    'the session has a status',
    async () => {
      const { status } = await users.client.get(CopilotSession, { namespace, name: 'first' });
      return status?.conditions?.length;
    },
    HEALS,
  );
  expect(await probe('/readyz?verbose')).toMatchObject({ body: '[+]caches ok\nreadyz check passed\n' });
});

it('goes on when the CRD of the sessions is deleted, and when it comes back', async () => {
  await uninstall(copilotSessionCrd());
  await waitFor('it is noticed', async () => (await probe('/readyz?verbose')).body.includes('not served'), HEALS);
  expect((await probe('/livez')).status).toBe(200);
  await createTenant('later');
  await isServed('later');
  await install(copilotSessionCrd());
  await createSession('second', 'later');
  await waitFor(
    'the session has a status',
    async () => {
      const { status } = await users.client.get(CopilotSession, { namespace, name: 'second' });
      return status?.conditions?.length;
    },
    HEALS,
  );
});
