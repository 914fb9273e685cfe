import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { ConfigMap, Secret } from '../../../../src/kube/types/builtins.ts';
import { podInputs, type PodInputsDecision } from '../../../../src/tenant/decisions/pod-inputs.ts';
import type { PodInputRead, RequiredLabel } from '../../../../src/tenant/model.ts';
import { CERTIFICATE, sampleTenant } from '../../../support/tenants.ts';

const SECRET_VALUE = 'b3VyLXNlY3JldA==';
const metadata = (name: string) => ({ name, namespace: 'team' });
const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: metadata('login'), data: { key: SECRET_VALUE } };
const configMap = (data: Record<string, string>, name = 'settings'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: metadata(name),
  data,
});

const fromTheSecret = { name: 'LOGIN', valueFrom: { secretKeyRef: { name: 'login', key: 'key' } } };
const fromTheConfigMap = { name: 'LEVEL', valueFrom: { configMapKeyRef: { name: 'settings', key: 'level' } } };
const fromSecret: CopilotTenantSpecInput = { server: { env: [fromTheSecret] } };
const fromConfigMap: CopilotTenantSpecInput = { server: { env: [fromTheConfigMap] } };
const withCA: CopilotTenantSpecInput = { network: { caBundle: { configMapKeyRef: { name: 'settings' } } } };

function decide(
  spec: CopilotTenantSpecInput,
  read: Record<string, PodInputRead> = {},
  label?: RequiredLabel,
): PodInputsDecision {
  return podInputs(sampleTenant(spec), new Map(Object.entries(read)), label);
}

function problem(decision: PodInputsDecision): string {
  if (decision.ok) throw new Error('everything can be used');
  return `${decision.cause.reason}: ${decision.cause.message}`;
}

const digestible = (decision: PodInputsDecision) => (decision.ok ? decision.digestible : problem(decision));

describe('what the pods read from Secrets and ConfigMaps', () => {
  it('is nothing without such fields, so the hash of their pods stays as it was before these fields', () => {
    expect(decide({})).toEqual({ ok: true, digestible: '' });
    expect(decide({ server: { env: [{ name: 'PLAIN', value: 'x' }] } })).toEqual({ ok: true, digestible: '' });
  });

  it.each<[string, CopilotTenantSpecInput, Record<string, PodInputRead>, Record<string, PodInputRead>]>([
    ['a Secret', fromSecret, { 'Secret/login': secret }, { 'Secret/login': { ...secret, data: { key: 'bmV3' } } }],
    [
      'a ConfigMap',
      fromConfigMap,
      { 'ConfigMap/settings': configMap({ level: 'a' }) },
      { 'ConfigMap/settings': configMap({ level: 'b' }) },
    ],
    [
      'a CA bundle',
      withCA,
      { 'ConfigMap/settings': configMap({ 'ca.crt': CERTIFICATE }) },
      { 'ConfigMap/settings': configMap({ 'ca.crt': `${CERTIFICATE}\n${CERTIFICATE}` }) },
    ],
  ])('a change of %s replaces the pods', (_, spec, before, after) => {
    expect(decide(spec, before)).toMatchObject({ ok: true });
    expect(digestible(decide(spec, after))).not.toBe(digestible(decide(spec, before)));
    expect(digestible(decide(spec, before))).toBe(digestible(decide(spec, structuredClone(before))));
  });

  it('another key of the same ConfigMap replaces nothing', () => {
    const other = { 'ConfigMap/settings': configMap({ level: 'a', unrelated: 'x' }) };
    expect(digestible(decide(fromConfigMap, other))).toBe(
      digestible(decide(fromConfigMap, { 'ConfigMap/settings': configMap({ level: 'a' }) })),
    );
  });
});

describe('what cannot be used is reported with the field and the remedy', () => {
  it.each<[string, CopilotTenantSpecInput, Record<string, PodInputRead>, string]>([
    [
      'a missing Secret',
      fromSecret,
      {},
      'EnvironmentNotUsable: Secret login not found. Create it with key key. It is needed for variable LOGIN of spec.server.env; running servers keep what they started with.',
    ],
    [
      'a missing key of a Secret',
      fromSecret,
      { 'Secret/login': { ...secret, data: { other: 'x' } } },
      'EnvironmentNotUsable: Secret login has no key key. Add it, or correct the key.',
    ],
    [
      'a Secret without any data',
      fromSecret,
      { 'Secret/login': { apiVersion: 'v1', kind: 'Secret', metadata: metadata('login') } },
      'Secret login has no key key.',
    ],
    [
      'a missing ConfigMap',
      fromConfigMap,
      { 'ConfigMap/settings': 'NotFound' },
      'EnvironmentNotUsable: ConfigMap settings not found. Create it with key level.',
    ],
    [
      'a forbidden Secret',
      fromSecret,
      { 'Secret/login': 'Forbidden' },
      'The operator is not allowed to read Secret login: it lacks the verb get on secrets.',
    ],
    [
      'a forbidden ConfigMap',
      fromConfigMap,
      { 'ConfigMap/settings': 'Forbidden' },
      'The operator is not allowed to read ConfigMap settings: it lacks the verb get on configmaps.',
    ],
    [
      'a missing CA bundle',
      withCA,
      {},
      'CABundleNotUsable: ConfigMap settings not found. Create it with key ca.crt. It is needed for spec.network.caBundle',
    ],
    [
      'a missing key of the CA bundle',
      withCA,
      { 'ConfigMap/settings': configMap({ 'ca.pem': CERTIFICATE }) },
      'CABundleNotUsable: ConfigMap settings has no key ca.crt.',
    ],
    [
      'a CA bundle without a certificate',
      withCA,
      { 'ConfigMap/settings': configMap({ 'ca.crt': 'MIIB' }) },
      'CABundleNotUsable: Key ca.crt of ConfigMap settings contains no certificate in PEM.',
    ],
    [
      'a CA bundle with a damaged certificate',
      withCA,
      {
        'ConfigMap/settings': configMap({
          'ca.crt': `${CERTIFICATE}\n${CERTIFICATE.replace('MII', 'MIX')}`,
        }),
      },
      "Key ca.crt of ConfigMap settings is damaged: certificate 2 of 2 can't be read. Correct it.",
    ],
  ])('%s', (_, spec, read, expected) => {
    expect(problem(decide(spec, read))).toContain(expected);
  });

  it.each([
    ['that is not allowed', undefined, false],
    ['that is allowed', { 'team/tenants': 'yes' }, true],
  ])('a Secret %s, where the operator requires a label', (_, labels, ok) => {
    const labelled = { ...secret, metadata: { ...secret.metadata, ...(labels && { labels }) } };
    const decision = decide(fromSecret, { 'Secret/login': labelled }, { key: 'team/tenants' });
    expect(decision.ok).toBe(ok);
    if (!ok) expect(problem(decision)).toContain('Secret login does not have the label team/tenants, which');
  });

  it('a ConfigMap needs no such label: it holds no secrets', () => {
    const read = { 'ConfigMap/settings': configMap({ level: 'a' }) };
    expect(decide(fromConfigMap, read, { key: 'team/tenants' })).toMatchObject({ ok: true });
  });

  it('no message has a value', () => {
    const both = { server: { env: [fromTheSecret, fromTheConfigMap] } };
    expect(problem(decide(both, { 'Secret/login': secret }))).not.toContain(SECRET_VALUE);
  });
});
