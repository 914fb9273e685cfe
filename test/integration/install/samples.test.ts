import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { GROUP } from '../../../src/api/names.ts';
import type { Rendered } from '../../support/chart.ts';
import { PROJECT, startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

const SAMPLES = join(PROJECT, 'config/samples');
const files = readdirSync(SAMPLES).filter((name) => name !== 'kustomization.yaml');

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
});
afterAll(() => api.stop());

describe('the samples', () => {
  it.each(files)('%s is accepted as it is, and changes nothing when applied again', async (file) => {
    const apply = ['apply', '--server-side', '--validate=strict', '-f', join(SAMPLES, file)];
    await api.kubectl.ok([...apply, '--dry-run=server']);
    await api.kubectl.ok(apply);
    // The defaults of the API server must not be a change, neither here nor for a GitOps tool.
    const applied = JSON.parse(await api.kubectl.ok([...apply, '-o', 'json'])) as Rendered & { items?: Rendered[] };
    const ours = (applied.items ?? [applied]).filter(({ apiVersion }) => apiVersion.startsWith(`${GROUP}/`));
    expect(ours).toContainEqual(expect.objectContaining({ kind: 'CopilotTenant' }));
    for (const object of ours) expect(object).toMatchObject({ metadata: { generation: 1 } });
  });

  it('are all applied by kubectl apply -k', () => {
    const { resources } = parse(readFileSync(join(SAMPLES, 'kustomization.yaml'), 'utf8')) as { resources: string[] };
    expect(resources.toSorted()).toEqual(files.toSorted());
  });

  it('are tenants with different names, so that all can be tried in one namespace', async () => {
    const manifests = await api.kubectl.ok(['kustomize', SAMPLES]);
    expect(manifests.match(/^kind: CopilotTenant$/gm)).toHaveLength(files.length);
  });
});
