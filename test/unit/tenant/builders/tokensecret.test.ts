import { describe, expect, it } from '@jest/globals';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { connectionToken } from '../../../../src/tenant/decisions/connection-token.ts';
import { sampleTenant, TOKEN } from '../../../support/tenants.ts';

describe('Secret of the connection token', () => {
  const secret = tokenSecret(sampleTenant(), TOKEN);

  it('contains the token unchanged', () => {
    const refuse = (): Buffer => {
      throw new Error('a second token was made');
    };
    expect(connectionToken(secret, refuse).token).toBe(TOKEN);
  });

  it('is not immutable: kubelets keep the first value of such a Secret when it is recreated', () => {
    expect(secret.immutable).toBeUndefined();
  });

  it('contains the token under its key only', () => {
    const { data, ...rest } = secret;
    expect(Object.keys(data ?? {})).toEqual(['token']);
    expect(JSON.stringify(rest)).not.toContain(TOKEN);
  });
});
