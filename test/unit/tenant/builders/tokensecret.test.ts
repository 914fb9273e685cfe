import { describe, expect, it } from '@jest/globals';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { connectionToken } from '../../../../src/tenant/decisions/connection-token.ts';
import { sampleTenant, TOKEN } from '../../../support/tenants.ts';

describe('Secret of the connection token', () => {
  const secret = tokenSecret(sampleTenant(), TOKEN);

  it('gives the token back as it was put in', () => {
    const refuse = (): Buffer => {
      throw new Error('a second token was made');
    };
    expect(connectionToken({ token: secret, binding: undefined }, refuse).token).toBe(TOKEN);
  });

  it('is not immutable: kubelets keep the first value of such a Secret when it is made again', () => {
    expect(secret.immutable).toBeUndefined();
  });

  it('shows the token under its key alone', () => {
    const { data, ...rest } = secret;
    expect(Object.keys(data ?? {})).toEqual(['token']);
    expect(JSON.stringify(rest)).not.toContain(TOKEN);
  });
});
