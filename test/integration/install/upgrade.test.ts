import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { CHART, REQUIRED_VALUES, previousChart, helm, type Rendered } from '../../support/chart.ts';
import { PROJECT, tenantManifest } from '../../support/tenant-api.ts';
import { kubectlWith, type Kubectl } from '../../support/tools.ts';
import { waitFor } from '../../support/wait.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

const CRD = 'crd/copilottenants.copilot-operator.dev';
const CRD_FILE = join(PROJECT, 'crds/copilot-operator.dev_copilottenants.yaml');

describe('an installation of the previous version', () => {
  let server: ApiServer;
  let kubeconfig: string;
  let kubectl: Kubectl;
  let tenant: Rendered;

  const release = (verb: string, ...args: string[]) =>
    helm([verb, 'copilot-operator', ...args, '--namespace=operators', '--kubeconfig', kubeconfig], REQUIRED_VALUES);
  const uninstall = (...args: string[]) =>
    helm(['uninstall', 'copilot-operator', ...args, '--namespace=operators', '--kubeconfig', kubeconfig]);
  const get = async (...args: string[]) => JSON.parse(await kubectl.ok(['get', ...args, '-o', 'json'])) as Rendered;

  beforeAll(async () => {
    server = await startApiServer();
    kubeconfig = server.kubeconfig();
    kubectl = kubectlWith(kubeconfig);
  });
  afterAll(() => server.stop());

  beforeEach(async () => {
    await release('install', previousChart(), '--create-namespace');
    await waitFor('CopilotTenant is served', async () => (await kubectl.try(['get', 'ct'])).code === 0);
    await kubectl.ok(['create', '-f', '-'], tenantManifest('acme', { replicas: 2, storage: { size: '5Gi' } }));
    tenant = await get('ct/acme');
  });
  afterEach(async () => {
    await uninstall('--ignore-not-found');
    await kubectl.ok(['delete', CRD, '--ignore-not-found']);
  });

  it('is upgraded with its CRDs, and keeps its tenants unchanged', async () => {
    await release('upgrade', CHART);
    const crd = (await get(CRD)) as unknown as Crd;
    expect(schemaOf(crd)).toEqual(schemaOf(parse(readFileSync(CRD_FILE, 'utf8')) as Crd));
    expect(asStored(await get('ct/acme'))).toEqual(tenant);
    const { metadata } = await get('deployment/copilot-operator', '--namespace=operators');
    const { version } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as { version: string };
    expect(metadata.labels).toMatchObject({ 'helm.sh/chart': `copilot-operator-${version}` });
  });

  it('leaves CRDs and tenants when it is uninstalled, and uses them when it is installed again', async () => {
    await uninstall();
    expect(await kubectl.ok(['get', 'deployments', '--namespace=operators', '-o', 'name'])).toBe('');
    expect(await get('ct/acme')).toEqual(tenant);
    await release('install', CHART);
    expect(asStored(await get('ct/acme'))).toEqual(tenant);
  });

  it('deletes them when it is configured not to keep them', async () => {
    await release('upgrade', CHART, '--set=crds.keep=false');
    await uninstall();
    await waitFor('the CRD is gone', async () => (await kubectl.try(['get', CRD])).stderr.includes('NotFound'));
  });
});

/** Without what the present CRD adds to every answer: the defaults of fields that the former one did not know. */
function asStored({ spec, ...tenant }: Rendered): Rendered {
  const { sessions, isolation, drain, ...stored } = spec ?? {};
  expect({ sessions, isolation, drain }).toEqual({
    sessions: { cleanupDryRun: false, permissionTimeout: '10m' },
    isolation: 'Dedicated',
    drain: { timeout: '5m' },
  });
  return { ...tenant, spec: stored };
}

interface Crd {
  spec: { versions: { schema: unknown }[] };
}

const schemaOf = ({ spec }: Crd) => spec.versions.map(({ schema }) => schema);
