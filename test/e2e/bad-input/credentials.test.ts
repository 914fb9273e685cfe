// Secrets of `spec.model` that cannot be used. They are polled, so a fix is noticed within a minute.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CoreEvent, Deployment } from '../../../src/kube/types/builtins.ts';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';

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
    /** The data of the Secret; absent: there is none. */
    values?: Record<string, string>;
    reason: string;
    texts: string[];
  }[] = [
    {
      what: 'a Secret that does not exist',
      tenant: 'missing',
      reason: 'SecretNotFound',
      texts: ['Secret missing-model not found', 'Create it with key token'],
    },
    {
      what: 'a Secret without the key',
      tenant: 'keyless',
      values: { 'github-token': 'a' },
      reason: 'SecretKeyNotFound',
      texts: ['Secret keyless-model has no key token', 'Add it, or correct the key in spec.model'],
    },
    {
      what: 'an empty value',
      tenant: 'empty',
      values: { token: '' },
      reason: 'SecretValueEmpty',
      texts: ['Key token of Secret empty-model is empty'],
    },
  ];
  it.concurrent.each(cases)(
    '$what is reported, and used once it is fixed',
    async ({ tenant, values, reason, texts }) => {
      if (values) await namespace.putSecret(`${tenant}-model`, values);
      await namespace.createTenant(tenant, github(`${tenant}-model`));
      const stalled = await expectStalled(namespace, tenant, 'ModelNotConfigured', texts);
      expect(conditionOf(stalled, 'ModelConfigured')).toMatchObject({ status: 'False', reason });
      expect(await namespace.get(Deployment, `${tenant}-0`)).toBeUndefined();

      await namespace.putSecret(`${tenant}-model`, { token: 'github_pat_mended' });
      const recovered = await expectRecovered(namespace, tenant);
      expect(conditionOf(recovered, 'ModelConfigured')).toMatchObject({ status: 'True', reason: 'GitHub' });
      await bystander.expectUntouched();
    },
  );

  it.concurrent(
    'a value with a line break is reported without any part of it, and no pod is started with it',
    async () => {
      const secret = `ghp_${randomBytes(12).toString('hex')}`;
      await namespace.putSecret('broken-model', { token: `${secret}\r\nX-Injected: yes` });
      await namespace.createTenant('broken', github('broken-model'));
      const stalled = await expectStalled(namespace, 'broken', 'ModelNotConfigured', [
        'Key token of Secret broken-model contains a line break',
        'create the value with printf instead of echo',
      ]);
      expect(conditionOf(stalled, 'ModelConfigured').reason).toBe('SecretValueInvalid');
      expect(await namespace.get(Deployment, 'broken-0')).toBeUndefined();
      expect(await namespace.pods('broken')).toEqual([]);

      await namespace.putSecret('broken-model', { token: secret });
      await expectRecovered(namespace, 'broken');
      const seen = [await namespace.tenant('broken'), await namespace.list(CoreEvent), operator.log];
      for (const leak of [secret, Buffer.from(secret).toString('base64').slice(0, -4), 'X-Injected']) {
        expect(JSON.stringify(seen)).not.toContain(leak);
      }
      await bystander.expectUntouched();
    },
  );

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
      // Any change of the tenant reconciles it at once, instead of at the next poll.
      await namespace.patchTenant('byok', { metadata: { annotations: { note: 'the key is gone' } } });
      await expectStalled(namespace, 'byok', 'ModelNotConfigured', [
        'Secret byok-model not found',
        'Create it with key api-key',
      ]);
      expect((await namespace.secret('byok-binding'))['model-provider-api-key']).toBe('key-1');

      await namespace.putSecret('byok-model', { 'api-key': 'key-2' });
      await expectRecovered(namespace, 'byok');
      expect((await namespace.secret('byok-binding'))['model-provider-api-key']).toBe('key-2');
      expect((await namespace.pods('byok')).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
      await bystander.expectUntouched();
    },
  );
});
