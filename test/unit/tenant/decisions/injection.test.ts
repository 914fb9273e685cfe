import { describe, expect, it } from '@jest/globals';
import type { Injection } from '../../../../src/api/names.ts';
import { bindingToken } from '../../../../src/resources/binding.ts';
import { bindingSecret } from '../../../../src/tenant/builders/bindingsecret.ts';
import { injectionDecision, tenantOfPods, type InjectionInput } from '../../../../src/tenant/decisions/injection.ts';
import { CREDENTIAL, GATEWAY, INJECTED, sampleTenant, SERVER_ENV } from '../../../support/tenants.ts';

const tenant = sampleTenant();
const binding = (injection: Injection) =>
  bindingSecret(tenant, { token: bindingToken(tenant, CREDENTIAL), gateway: GATEWAY, injection });
const decide = (input: Partial<InjectionInput> = {}) =>
  injectionDecision({ tenant, binding: undefined, access: 'Gateway', ...input });
const specified = (injection: Injection) => ({ tenant: sampleTenant({ model: { injection } }) });
const recorded = (modelInjection: Injection) => ({
  tenant: sampleTenant({}, {}, { modelInjection, access: 'Gateway', observedGeneration: 1 }),
});
/** What an operator has left that knew only one way. */
const older = { tenant: sampleTenant({}, {}, { access: 'Gateway', observedGeneration: 1 }) };

describe('the injection of a tenant', () => {
  it.each<[string, Partial<InjectionInput>, Injection, string]>([
    ['new, behind a gateway', {}, 'Gateway', 'New'],
    ['new, with access Direct', { access: 'Direct' }, 'ServerEnv', 'Direct'],
    [
      'specified, whatever was recorded',
      { ...recorded('Gateway'), ...specified('ServerEnv') },
      'ServerEnv',
      'Specified',
    ],
    ['specified, whatever exists', { ...specified('Gateway'), binding: binding('ServerEnv') }, 'Gateway', 'Specified'],
    [
      'recorded, whatever the binding is',
      { ...recorded('ServerEnv'), binding: binding('Gateway') },
      'ServerEnv',
      'Recorded',
    ],
    ['recorded, and access is Direct now', { ...recorded('Gateway'), access: 'Direct' }, 'ServerEnv', 'Direct'],
    ['of an older operator', older, 'ServerEnv', 'Observed'],
    ['of an older operator, with its binding', { ...older, binding: binding('ServerEnv') }, 'ServerEnv', 'Observed'],
    ['without status, of a binding with a login', { binding: binding('ServerEnv') }, 'ServerEnv', 'Observed'],
    ['without status, of a binding without', { binding: binding('Gateway') }, 'Gateway', 'Observed'],
  ])('that is %s', (_, input, injection, reason) => {
    expect(decide(input)).toMatchObject({ injection, reason });
    expect(decide(input)).not.toHaveProperty('problem');
  });

  it('by the gateway is a problem for clients that do not pass it, with the remedy', () => {
    const { problem } = decide({ ...specified('Gateway'), access: 'Direct' });
    expect(problem).toContain('spec.model.injection is Gateway, but the access of the tenant is Direct');
    expect(problem).toContain('Set spec.access to Gateway, or spec.model.injection to ServerEnv.');
  });
});

describe('the pods of a tenant', () => {
  const github = sampleTenant({ model: { github: { tokenSecretRef: { name: 'model' } } } });

  it('are made without the login that the gateway gives to sessions, and of all else', () => {
    const { model: _, ...spec } = github.spec;
    expect(tenantOfPods(github, INJECTED)).toEqual({ ...github, spec });
    expect(tenantOfPods(github, SERVER_ENV)).toBe(github);
  });
});
