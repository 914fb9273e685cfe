import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { bindingSecret, endpoint } from '../../../../src/tenant/builders/bindingsecret.ts';
import { service } from '../../../../src/tenant/builders/service.ts';
import { bindingToken } from '../../../../src/resources/binding.ts';
import { CREDENTIAL, GATEWAY, sampleTenant, TOKEN } from '../../../support/tenants.ts';

function entriesOf(spec: CopilotTenantSpecInput = {}, providerApiKey?: string): Record<string, string> {
  const { data } = bindingSecret(sampleTenant(spec), { token: TOKEN, providerApiKey });
  return Object.fromEntries(
    Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

const provider = { baseUrl: 'https://models.example.com/v1', model: 'large' };

describe('binding Secret', () => {
  it('has the type that the Service Binding specification requires', () => {
    expect(bindingSecret(sampleTenant(), { token: TOKEN }).type).toBe('servicebinding.io/copilot');
  });

  it('has all that a client needs to connect, and nothing else', () => {
    expect(entriesOf()).toEqual({
      type: 'copilot',
      provider: 'copilot-operator',
      host: 'acme-0.team.svc',
      port: '4321',
      uri: 'http://acme-0.team.svc:4321',
      token: TOKEN,
    });
  });

  it('leads to the Service of the first server', () => {
    const { name, namespace = '' } = service(sampleTenant(), 0).metadata;
    expect(endpoint(sampleTenant())).toBe(`${name}.${namespace}.svc:4321`);
  });

  it('leads to the gateway where there is one, under the same keys', () => {
    const token = bindingToken(sampleTenant(), CREDENTIAL);
    const { data = {} } = bindingSecret(sampleTenant(), { token, gateway: GATEWAY });
    const entries = Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
    expect(Object.fromEntries(entries)).toEqual({
      type: 'copilot',
      provider: 'copilot-operator',
      host: 'copilot-gateway.copilot-operator-system.svc',
      port: '4321',
      uri: 'http://copilot-gateway.copilot-operator-system.svc:4321',
      token: `team/acme:${CREDENTIAL}`,
    });
  });

  it('writes an IPv6 address of the gateway as a URI wants it', () => {
    expect(endpoint(sampleTenant(), { host: 'fd00::1', port: 443 })).toBe('[fd00::1]:443');
  });

  it("passes on the tenant's own provider, which each session has to specify", () => {
    const spec = { model: { provider: { ...provider, type: 'azure', wireApi: 'responses' } } } as const;
    expect(entriesOf(spec, 'key-1')).toMatchObject({
      model: 'large',
      'model-provider-type': 'azure',
      'model-provider-wire-api': 'responses',
      'model-provider-base-url': 'https://models.example.com/v1',
      'model-provider-api-key': 'key-1',
    });
  });

  it('passes on the headers of the provider as one JSON object', () => {
    const headers = { 'x-team': 'acme', 'x-tier': '1' };
    expect(
      JSON.parse(entriesOf({ model: { provider: { ...provider, headers } } })['model-provider-headers'] ?? ''),
    ).toEqual(headers);
  });

  it('has the address of the provider and no key where sessions get it from the gateway, and says so', () => {
    const { data = {} } = bindingSecret(sampleTenant({ model: { provider } }), { token: TOKEN, injection: 'Gateway' });
    expect(Object.keys(data)).toContain('model-provider-base-url');
    expect(Object.keys(data)).not.toContain('model-provider-api-key');
    expect(Buffer.from(data['model-injection'] ?? '', 'base64').toString()).toBe('Gateway');
  });

  it('has no key when the provider requires none', () => {
    expect(entriesOf({ model: { provider } })).not.toHaveProperty('model-provider-api-key');
  });

  it('does not give the GitHub token of the servers to clients', () => {
    const spec = { model: { github: { tokenSecretRef: { name: 'model' } } } };
    expect(Object.values(entriesOf(spec, 'github-token'))).not.toContain('github-token');
  });
});
