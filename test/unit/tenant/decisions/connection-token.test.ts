import { describe, expect, it } from '@jest/globals';
import { connectionToken, TOKEN_BYTES, tokenRotation } from '../../../../src/tenant/decisions/connection-token.ts';
import { bindingSecret } from '../../../../src/tenant/builders/bindingsecret.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const old = 'A'.repeat(43);
const other = 'B'.repeat(43);
const fresh = Buffer.alloc(TOKEN_BYTES, 0xff);
const decide = (token: string | undefined) =>
  connectionToken(token === undefined ? undefined : tokenSecret(sampleTenant(), token), (size) =>
    fresh.subarray(0, size),
  );

describe('the connection token', () => {
  it.each([
    ['is kept as long as its Secret exists', old, 'Kept', old],
    ['is generated when its Secret does not exist', undefined, 'Created', fresh.toString('base64url')],
    ['is generated when its Secret has no valid one', 'hunter2', 'Created', fresh.toString('base64url')],
    ['is generated when its Secret is empty', '', 'Created', fresh.toString('base64url')],
  ])('%s', (_, token, reason, expected) => {
    expect(decide(token)).toMatchObject({ reason, token: expected });
  });

  it('has 256 random bits, and is valid for the next reconcile', () => {
    const made = decide(undefined);
    expect(Buffer.from(made.token, 'base64url')).toHaveLength(256 / 8);
    expect(decide(made.token)).toMatchObject({ reason: 'Kept', token: made.token });
  });

  it.each([old, undefined])('is in no message', (token) => {
    const decision = decide(token);
    expect(decision.message).not.toContain(decision.token);
  });
});

describe('a rotation of the connection token', () => {
  const rotation = (
    token: string | undefined,
    bound: string | undefined,
    current: readonly string[],
    desired: string | undefined = 'desired',
  ) =>
    tokenRotation({
      tenant: 'acme',
      decision: decide(token),
      isShared: true,
      binding: bound === undefined ? undefined : bindingSecret(sampleTenant(), { token: bound }),
      current,
      desired,
    });

  it.each([
    ['its Secret was deleted', undefined, old, ['before'], 'SecretDeleted'],
    ['its Secret was deleted with the binding', undefined, undefined, ['before'], 'SecretDeleted'],
    ['its Secret was deleted and no server exists', undefined, old, [], 'SecretDeleted'],
    ['its Secret was spoilt', 'hunter2', old, ['before'], 'SecretDeleted'],
    ['its Secret was given another one', other, old, ['before', 'before'], 'SecretChanged'],
  ])('is reported when %s', (_, token, bound, current, reason) => {
    const found = rotation(token, bound, current);
    expect(found).toMatchObject({ reason });
    expect(found?.message).toContain('Secret acme-token');
    expect(found?.message).toContain('clients must read it again from Secret acme-binding');
    for (const secret of [old, other, fresh.toString('base64url')]) expect(found?.message).not.toContain(secret);
  });

  it.each([
    ['the tenant is new', undefined, undefined, [], 'desired'],
    ['nothing has changed', old, old, ['desired'], 'desired'],
    ['only the binding was edited', old, other, ['desired'], 'desired'],
    ['the binding was deleted', old, undefined, ['desired'], 'desired'],
    ['the model credential cannot be used, so that no server is replaced', other, old, ['before'], undefined],
  ])('is not reported when %s', (_, token, bound, current, desired) => {
    const binding = bound === undefined ? undefined : bindingSecret(sampleTenant(), { token: bound });
    const input = { tenant: 'acme', decision: decide(token), isShared: true, binding, current, desired };
    expect(tokenRotation(input)).toBeUndefined();
  });

  it('tells clients of the gateway that they need nothing new', () => {
    const input = { tenant: 'acme', decision: decide(undefined), isShared: false, binding: undefined };
    const found = tokenRotation({ ...input, current: ['before'], desired: 'desired' });
    expect(found?.reason).toBe('SecretDeleted');
    expect(found?.message).toContain('clients, which connect through the gateway, need nothing new');
    expect(found?.message).not.toContain('acme-binding');
  });
});
