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
    ['is kept as long as its Secret is there', old, copy, 'Kept', old],
    ['comes back from the binding when its Secret was deleted', undefined, copy, 'Restored', copy],
    ['comes back from the binding when its Secret holds something else', 'hunter2', copy, 'Restored', copy],
    ['is made when there is none', undefined, undefined, 'Created', fresh.toString('base64url')],
    ['is made when neither Secret holds one', '', `${copy}\n`, 'Created', fresh.toString('base64url')],
  ])('%s', (_, token, binding, reason, expected) => {
    expect(decide(token, binding)).toMatchObject({ reason, token: expected });
  });

  it('is 256 bits of randomness, and the next reconcile takes it for one', () => {
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
