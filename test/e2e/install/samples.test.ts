// The samples of config/samples, as they are, on the real cluster. Those that wait for a node of their own: waiting-samples.test.ts.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { join } from 'node:path';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { PROJECT } from '../../support/tenant-api.ts';

// All at once: eleven servers start beside each other.
jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  await namespace.kubectl.ok(['apply', '-n', namespace.name, '-k', join(PROJECT, 'config/samples')]);
});
afterAll(() => namespace.close());

const ready = (tenant: string) =>
  namespace.waitForTenant(tenant, 'is Ready', (found) => conditionOf(found, 'Ready').status === 'True', 2 * READY_MS);

describe('the sample', () => {
  it.each([
    ['minimal', 'acme', '1/1', 'ClientProvided'],
    ['GitHub token, made up', 'octo', '1/1', 'GitHub'],
    ['own provider', 'initech', '1/1', 'Provider'],
    ['three servers', 'globex', '3/3', 'ClientProvided'],
    ['light runtime', 'hooli', '1/1', 'ClientProvided'],
    ['session', 'soylent', '1/1', 'ClientProvided'],
    ['cleanup', 'vandelay', '1/1', 'ClientProvided'],
    ['company network', 'stark', '1/1', 'ClientProvided'],
  ])('%s becomes Ready', async (_sample, tenant, serversReady, model) => {
    const found = await ready(tenant);
    expect(found.status?.serversReady).toBe(serversReady);
    expect(conditionOf(found, 'Healthy').status).toBe('True');
    expect(conditionOf(found, 'ModelConfigured')).toMatchObject({ status: 'True', reason: model });
  });

  it('own provider is found by clients in the binding Secret', async () => {
    await ready('initech');
    expect(await namespace.secret('initech-binding')).toMatchObject({
      model: 'gpt-oss-120b',
      'model-provider-base-url': 'https://models.example.com/v1',
      'model-provider-api-key': 'REPLACE-WITH-AN-API-KEY',
    });
  });
});
