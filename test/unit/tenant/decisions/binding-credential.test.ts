import { describe, expect, it } from '@jest/globals';
import type { BindingCredential } from '../../../../src/api/tenant.ts';
import type { Secret } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { bindingToken, credentialHash } from '../../../../src/resources/binding.ts';
import { bindingSecret } from '../../../../src/tenant/builders/bindingsecret.ts';
import { HASH_ANNOTATION } from '../../../../src/tenant/decisions/adoption.ts';
import { bindingCredential, RETIRE_AFTER_MS } from '../../../../src/tenant/decisions/binding-credential.ts';
import { CREDENTIAL, GATEWAY, sampleTenant, TOKEN } from '../../../support/tenants.ts';
import { MINUTE, NOW } from '../fixtures.ts';

const OTHER = `cpg_${'B'.repeat(43)}`;
const FRESH = `cpg_${Buffer.alloc(32, 0xff).toString('base64url')}`;

const valid = (credential: string, agoMs: number): BindingCredential => ({
  sha256: credentialHash(credential),
  since: timestamp(NOW - agoMs),
});
const tenantWith = (...credentials: BindingCredential[]) =>
  sampleTenant({}, {}, credentials.length === 0 ? undefined : { binding: { name: 'acme-binding', credentials } });
const secret = (token: string) => bindingSecret(sampleTenant(), { token, gateway: GATEWAY });
const own = (credential: string) => secret(bindingToken(sampleTenant(), credential));
/** After a restore: without owner references. */
const orphan = (credential: string): Secret => {
  const { metadata, ...rest } = own(credential);
  const { ownerReferences: _owners, ...kept } = metadata;
  return { ...rest, metadata: { ...kept, annotations: { [HASH_ANNOTATION]: 'hash' } } };
};

const decide = (binding: Secret | undefined, ...recorded: BindingCredential[]) =>
  bindingCredential({
    tenant: tenantWith(...recorded),
    binding,
    now: NOW,
    randomBytes: (size) => Buffer.alloc(size, 0xff),
  });

describe('the binding credential', () => {
  it('is generated for a new tenant, and valid at once', () => {
    const found = decide(undefined);
    expect(found).toMatchObject({ reason: 'Created', token: `team/acme:${FRESH}`, valid: [valid(FRESH, 0)] });
    expect(found.dueInMs).toBeUndefined();
  });

  it('is kept as long as its Secret has it, since when it is valid too', () => {
    const recorded = valid(CREDENTIAL, 90 * MINUTE);
    expect(decide(own(CREDENTIAL), recorded)).toMatchObject({
      reason: 'Kept',
      token: `team/acme:${CREDENTIAL}`,
      valid: [recorded],
    });
  });

  it('is kept by an operator that was stopped between the Secret and the status', () => {
    expect(decide(own(CREDENTIAL))).toMatchObject({ reason: 'Kept', valid: [valid(CREDENTIAL, 0)] });
  });

  it.each([
    ['its Secret was deleted', undefined],
    ['its Secret has the connection token', secret(TOKEN)],
    ['its Secret has that of another tenant', secret(`team/other:${CREDENTIAL}`)],
    ['its Secret was spoilt', secret('hunter2')],
  ])('is replaced when %s, and the former one stays valid for an hour', (_, binding) => {
    const former = valid(CREDENTIAL, 90 * MINUTE);
    const found = decide(binding, former);
    expect(found).toMatchObject({ reason: 'Created', token: `team/acme:${FRESH}`, dueInMs: RETIRE_AFTER_MS });
    expect(found.valid).toEqual([valid(FRESH, 0), former]);
  });

  it('is replaced by another well-formed one that a user has written', () => {
    const former = valid(CREDENTIAL, 90 * MINUTE);
    const found = decide(own(OTHER), former);
    expect(found).toMatchObject({ reason: 'Changed', token: `team/acme:${OTHER}` });
    expect(found.valid).toEqual([valid(OTHER, 0), former]);
  });

  it('that was valid before is retired an hour after the rotation, not earlier', () => {
    const former = valid(CREDENTIAL, 5 * RETIRE_AFTER_MS);
    const shortly = decide(own(OTHER), valid(OTHER, RETIRE_AFTER_MS - 1000), former);
    expect(shortly).toMatchObject({ reason: 'Kept', dueInMs: 1000 });
    expect(shortly.valid).toHaveLength(2);
    const due = decide(own(OTHER), valid(OTHER, RETIRE_AFTER_MS), former);
    expect(due.valid).toEqual([valid(OTHER, RETIRE_AFTER_MS)]);
    expect(due.dueInMs).toBeUndefined();
  });

  it('that leaked ends at once by a second rotation', () => {
    const [leaked, next] = [valid(CREDENTIAL, 5 * MINUTE), valid(OTHER, MINUTE)];
    expect(decide(undefined, next, leaked).valid).toEqual([valid(FRESH, 0), next]);
  });

  it('of a Secret without an owner is kept only if the status knows it', () => {
    expect(decide(orphan(CREDENTIAL), valid(CREDENTIAL, MINUTE))).toMatchObject({ reason: 'Kept' });
    expect(decide(orphan(CREDENTIAL))).toMatchObject({ reason: 'Created', token: `team/acme:${FRESH}` });
    expect(decide(orphan(OTHER), valid(CREDENTIAL, MINUTE)).valid).not.toContainEqual(valid(OTHER, 0));
  });

  it.each([undefined, own(CREDENTIAL), own(OTHER)])('is in no message', (binding) => {
    const { message, token } = decide(binding, valid(CREDENTIAL, 0));
    expect(message).toContain('Secret acme-binding');
    expect(message).not.toContain(token.slice('team/acme:'.length));
  });
});
