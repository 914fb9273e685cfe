import { describe, expect, it } from '@jest/globals';
import { connectionToken, TOKEN_BYTES } from '../../../../src/tenant/decisions/connection-token.ts';
import { bindingSecret } from '../../../../src/tenant/builders/bindingsecret.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const old = 'A'.repeat(43);
const copy = 'B'.repeat(43);
const fresh = Buffer.alloc(TOKEN_BYTES, 0xff);
const decide = (token: string | undefined, binding: string | undefined) =>
  connectionToken(
    {
      token: token === undefined ? undefined : tokenSecret(sampleTenant(), token),
      binding: binding === undefined ? undefined : bindingSecret(sampleTenant(), { token: binding }),
    },
    (size) => fresh.subarray(0, size),
  );

describe('the connection token', () => {
  it.each([
    ['is kept as long as its Secret exists', old, copy, 'Kept', old],
    ['is restored from the binding Secret when its Secret was deleted', undefined, copy, 'Restored', copy],
    ['is restored from the binding Secret when its Secret is invalid', 'hunter2', copy, 'Restored', copy],
    ['is created when there is none', undefined, undefined, 'Created', fresh.toString('base64url')],
    ['is created when neither Secret has a valid one', '', `${copy}\n`, 'Created', fresh.toString('base64url')],
  ])('%s', (_, token, binding, reason, expected) => {
    expect(decide(token, binding)).toMatchObject({ reason, token: expected });
  });

  it('has 256 random bits, and is valid for the next reconcile', () => {
    const made = decide(undefined, undefined);
    expect(Buffer.from(made.token, 'base64url')).toHaveLength(256 / 8);
    expect(decide(made.token, undefined)).toMatchObject({ reason: 'Kept', token: made.token });
  });

  it.each([
    [old, undefined],
    [undefined, copy],
    [undefined, undefined],
  ])('is in no message', (token, binding) => {
    const decision = decide(token, binding);
    expect(decision.message).not.toContain(decision.token);
  });
});
