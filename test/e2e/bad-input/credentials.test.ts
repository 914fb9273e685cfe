// Secrets that `spec.model` names and that can't be used. They are polled, so the mend is noticed within a minute.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CoreEvent, Deployment } from '../../../src/kube/types/builtins.ts';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { expectMended, expectTold } from '../../support/told.ts';

jest.setTimeout(4 * READY_MS);

const github = (name: string, key = 'token') => ({
  server: { binary: 'runtime' as const },
  model: { github: { tokenSecretRef: { name, key } } },
});

describe('model credentials that cannot be used', () => {
  let namespace: TestNamespace;
  let operator: OperatorProcess;
  let bystander: Bystander;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    operator = await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  const cases: {
    what: string;
    tenant: string;
    /** What the Secret holds; absent: there is none. */
    values?: Record<string, string>;
    reason: string;
    told: string[];
  }[] = [
    {
      what: 'a Secret that does not exist',
      tenant: 'missing',
      reason: 'SecretNotFound',
      told: ['Secret missing-model not found', 'Create it with key token'],
    },
    {
      what: 'a Secret without the key',
      tenant: 'keyless',
      values: { 'github-token': 'a' },
      reason: 'SecretKeyNotFound',
      told: ['Secret keyless-model has no key token', 'Add it, or correct the key in spec.model'],
    },
    {
      what: 'an empty value',
      tenant: 'empty',
      values: { token: '' },
      reason: 'SecretValueEmpty',
      told: ['Key token of Secret empty-model is empty'],
    },
  ];
  it.concurrent.each(cases)('$what is told, and mended it is used', async ({ tenant, values, reason, told }) => {
    if (values) await namespace.putSecret(`${tenant}-model`, values);
    await namespace.createTenant(tenant, github(`${tenant}-model`));
    const stalled = await expectTold(namespace, tenant, 'ModelNotConfigured', told);
    expect(conditionOf(stalled, 'ModelConfigured')).toMatchObject({ status: 'False', reason });
    expect(await namespace.get(Deployment, `${tenant}-0`)).toBeUndefined();

    await namespace.putSecret(`${tenant}-model`, { token: 'github_pat_mended' });
    const mended = await expectMended(namespace, tenant);
    expect(conditionOf(mended, 'ModelConfigured')).toMatchObject({ status: 'True', reason: 'GitHub' });
    await bystander.expectUntouched();
  });

  it.concurrent('a value with a line break is told without a word of it, and no pod is started with it', async () => {
    const secret = `ghp_${randomBytes(12).toString('hex')}`;
    await namespace.putSecret('broken-model', { token: `${secret}\r\nX-Injected: yes` });
    await namespace.createTenant('broken', github('broken-model'));
    const stalled = await expectTold(namespace, 'broken', 'ModelNotConfigured', [
      'Key token of Secret broken-model contains a line break',
      'create it with printf instead of echo',
    ]);
    expect(conditionOf(stalled, 'ModelConfigured').reason).toBe('SecretValueInvalid');
    expect(await namespace.get(Deployment, 'broken-0')).toBeUndefined();
    expect(await namespace.pods('broken')).toEqual([]);

    await namespace.putSecret('broken-model', { token: secret });
    await expectMended(namespace, 'broken');
    const seen = [await namespace.tenant('broken'), await namespace.list(CoreEvent), operator.log];
    for (const leak of [secret, Buffer.from(secret).toString('base64').slice(0, -4), 'X-Injected']) {
      expect(JSON.stringify(seen)).not.toContain(leak);
    }
    await bystander.expectUntouched();
  });

  it.concurrent(
    "a provider's key that vanishes under a running server costs neither the server nor the binding",
    async () => {
      await namespace.putSecret('byok-model', { 'api-key': 'key-1' });
      await namespace.createTenant('byok', {
        server: { binary: 'runtime' },
        model: {
          provider: {
            baseUrl: 'https://models.example.com/v1',
            model: 'gpt-oss',
            apiKeySecretRef: { name: 'byok-model', key: 'api-key' },
          },
        },
      });
      await namespace.waitForReady('byok');
      const [pod] = await namespace.pods('byok');
      await namespace.kubectl.ok(['delete', 'secret', 'byok-model', '-n', namespace.name]);
      // Any change of the tenant is a reason to look at once, instead of at the next poll.
      await namespace.patchTenant('byok', { metadata: { annotations: { note: 'the key is gone' } } });
      await expectTold(namespace, 'byok', 'ModelNotConfigured', [
        'Secret byok-model does not exist',
        'Create it with the key api-key',
      ]);
      expect((await namespace.secret('byok-binding'))['model-provider-api-key']).toBe('key-1');

      await namespace.putSecret('byok-model', { 'api-key': 'key-2' });
      await expectMended(namespace, 'byok');
      expect((await namespace.secret('byok-binding'))['model-provider-api-key']).toBe('key-2');
      expect((await namespace.pods('byok')).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
      await bystander.expectUntouched();
    },
  );
});
