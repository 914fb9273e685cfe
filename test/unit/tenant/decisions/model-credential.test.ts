import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { Secret } from '../../../../src/kube/types/builtins.ts';
import { modelDecision, modelSecretRef } from '../../../../src/tenant/decisions/model-credential.ts';
import { INJECTED, sampleTenant } from '../../../support/tenants.ts';

type Model = NonNullable<CopilotTenantSpecInput['model']>;

const address = { baseUrl: 'https://models.example.com/v1', model: 'small' };
const github: Model = { github: { tokenSecretRef: { name: 'copilot', key: 'pat' } } };
const provider: Model = { provider: { ...address, apiKeySecretRef: { name: 'models', key: 'key' } } };
const keyless: Model = { provider: address };

function secret(name: string, values: Record<string, string>): Secret {
  const data = Object.entries(values).map(([key, value]) => [key, Buffer.from(value, 'latin1').toString('base64')]);
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'team' }, data: Object.fromEntries(data) };
}

describe('a Secret without the label that the operator requires', () => {
  const refer = (labels: Record<string, string> | undefined, required: { key: string; value?: string }) => {
    const found = secret('copilot', { pat: 'ghp_secret' });
    const metadata = { ...found.metadata, ...(labels && { labels }) };
    return modelDecision(sampleTenant({ model: github }), { ...found, metadata }, required);
  };

  it.each<[string, Record<string, string> | undefined, { key: string; value?: string }, boolean]>([
    ['no label', undefined, { key: 'team/tenants' }, false],
    ['another label', { other: 'x' }, { key: 'team/tenants' }, false],
    ['another value', { 'team/tenants': 'no' }, { key: 'team/tenants', value: 'yes' }, false],
    ['an empty value, where another is required', { 'team/tenants': '' }, { key: 'team/tenants', value: 'yes' }, false],
    ['the label', { 'team/tenants': '' }, { key: 'team/tenants' }, true],
    ['the label and value', { 'team/tenants': 'yes' }, { key: 'team/tenants', value: 'yes' }, true],
    ['the empty value that is required', { 'team/tenants': '' }, { key: 'team/tenants', value: '' }, true],
    ['what every object inherits', undefined, { key: 'constructor' }, false],
  ])('is not used: with %s', (_, labels, required, ok) => {
    const decision = refer(labels, required);
    expect(decision.ok).toBe(ok);
    if (ok) return;
    expect(decision.reason).toBe('SecretNotAllowed');
    expect(decision.message).not.toContain('ghp_secret');
  });

  it('is reported with the remedy, whatever key is referred to', () => {
    const missing = modelDecision(sampleTenant({ model: github }), secret('copilot', {}), {
      key: 'tenants',
      value: 'yes',
    });
    expect(missing.message).toBe(
      'Secret copilot does not have the label tenants=yes, which the operator requires (--require-secret-label). ' +
        'To allow tenants to use it, run kubectl label secret --overwrite copilot tenants=yes.',
    );
  });
});

const decide = (model: Model | undefined, found: Parameters<typeof modelDecision>[1]) =>
  modelDecision(sampleTenant(model ? { model } : {}), found);

describe('the model credential of a tenant', () => {
  it.each([
    ['the GitHub token', github, { name: 'copilot', key: 'pat' }],
    ["the provider's key", provider, { name: 'models', key: 'key' }],
    ['nothing, for a provider without a key', keyless, undefined],
    ['nothing, when clients provide their own', undefined, undefined],
  ])('is read from where the spec says: %s', (_, model, ref) => {
    expect(modelSecretRef(sampleTenant(model ? { model } : {}))).toEqual(ref);
  });

  it.each([
    ['clients provide their own', undefined, undefined, 'ClientProvided', undefined],
    ['the provider requires none', keyless, undefined, 'Provider', undefined],
    ['GitHub is the provider', github, secret('copilot', { pat: 'ghp_secret' }), 'GitHub', 'ghp_secret'],
    ['the tenant has its own provider', provider, secret('models', { key: 'sk secret~' }), 'Provider', 'sk secret~'],
  ])('can be used when %s', (_, model, found, reason, value) => {
    const decision = decide(model, found);
    expect(decision).toMatchObject({ ok: true, reason });
    expect(decision.ok && decision.value).toBe(value);
    expect(decision.message).not.toContain('secret');
  });

  it.each([
    ['the Secret is missing', 'NotFound', 'SecretNotFound', /Secret copilot not found\. Create it with key pat/],
    [
      'the operator may not read it',
      'Forbidden',
      'SecretForbidden',
      /not allowed to read Secret copilot.*verb get on secrets/,
    ],
    [
      'the key is missing',
      secret('copilot', { token: 'x' }),
      'SecretKeyNotFound',
      /Secret copilot has no key pat\. Add it/,
    ],
    ['the Secret is empty', { ...secret('copilot', {}), data: undefined }, 'SecretKeyNotFound', /has no key pat/],
    ['the value is empty', secret('copilot', { pat: '' }), 'SecretValueEmpty', /Key pat of Secret copilot is empty/],
  ] as const)('is reported when %s', (_, found, reason, message) => {
    const decision = decide(github, found as Parameters<typeof modelDecision>[1]);
    expect(decision).toMatchObject({ ok: false, reason });
    expect(decision.message).toMatch(message);
  });

  it.each([
    ['a newline at the end', 'ghp_secret\n'],
    ['a Windows newline at the end', 'ghp_secret\r\n'],
    ['a second header', 'ghp_secret\r\nX-Admin: yes'],
    ['a carriage return at the start', '\rghp_secret'],
    ['a NUL', 'ghp_\0secret'],
    ['a letter that is not ASCII', 'ghp_sécret'],
  ])('is refused and not quoted when it contains %s', (_, value) => {
    const decision = decide(github, secret('copilot', { pat: value }));
    expect(decision).toMatchObject({ ok: false, reason: 'SecretValueInvalid' });
    expect(decision.message).toMatch(/Key pat of Secret copilot contains a line break.*printf instead of echo/);
    expect(JSON.stringify(decision)).not.toMatch(/ghp_|Admin/);
    expect(decision).not.toHaveProperty('value');
  });

  it.each([
    ['token', github, secret('copilot', { pat: 'ghp_secret' }), 'Sessions get the token in Secret copilot'],
    ['API key', provider, secret('models', { key: 'sk' }), 'Sessions get the API key of Secret models'],
  ])('is a %s that sessions get from the gateway, if that is decided', (_, model, found, message) => {
    const decision = modelDecision(sampleTenant({ model }), found, undefined, INJECTED);
    expect(decision).toMatchObject({ ok: true, message: expect.stringContaining(message) });
  });

  it('is of no use to a gateway that clients do not pass', () => {
    const injection = { injection: 'Gateway', problem: 'Set spec.access.' } as const;
    const decision = modelDecision(sampleTenant({ model: keyless }), undefined, undefined, injection);
    expect(decision).toEqual({ ok: false, reason: 'GatewayRequired', message: 'Set spec.access.' });
  });

  it('is accepted only if it fits into one header line', () => {
    const character = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
    fc.assert(
      fc.property(fc.string({ unit: character, minLength: 1 }), (value) => {
        const decision = decide(provider, secret('models', { key: value }));
        expect(decision.ok).toBe(value.split('').every((one) => one >= ' ' && one <= '~'));
        if (decision.ok) expect(decision.value).toBe(value);
      }),
    );
  });
});
