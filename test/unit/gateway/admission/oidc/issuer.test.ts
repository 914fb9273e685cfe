// What an issuer does with more tokens than it can verify at once. Tokens that are really signed are in issuers.test.ts.
import { beforeEach, expect, it } from '@jest/globals';
import { errors } from 'jose';
import { TooManyReviewsError } from '../../../../../src/gateway/admission/lane.ts';
import { OidcIssuer } from '../../../../../src/gateway/admission/oidc/issuer.ts';
import type { Keys } from '../../../../../src/gateway/admission/oidc/keys.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
const signedWith = (kid: string): string => `${encoded({ alg: 'ES256', kid })}.${encoded({})}.c2ln`;
const token = signedWith('known');

/** Ends the verifications that are under way, in their order. */
let verifying: (() => void)[];
let issuer: OidcIssuer;

beforeEach(() => {
  verifying = [];
  const config = {
    url: 'https://login.example.com',
    discoveryURL: undefined,
    jwksURL: undefined,
    ca: undefined,
    audiences: ['copilot-gateway'],
    algorithms: ['ES256'],
    rules: [],
    username: { claim: 'sub', prefix: '' },
    groups: undefined,
  };
  const held: Keys = ({ kid }) => {
    if (kid !== 'known') return Promise.reject(new errors.JWKSNoMatchingKey());
    return new Promise((_, reject) => {
      verifying.push(() => reject(new errors.JWSSignatureVerificationFailed()));
    });
  };
  const keys = { current: () => Promise.resolve(held), newerThan: () => new Promise<undefined>(() => undefined) };
  issuer = new OidcIssuer({ config, keys, clock: new FakeClock() });
});

const FORGED = { problem: 'the signature of the OIDC token is wrong' };

it('verifies a few tokens of strangers at once, and refuses one more than may wait', async () => {
  const strangers = Array.from({ length: 2_002 }, () => issuer.authenticate(token, 'Newcomer'));
  await settle();
  expect(verifying).toHaveLength(2);
  await expect(issuer.authenticate(token, 'Newcomer')).rejects.toThrow(TooManyReviewsError);
  while (verifying.length > 0) {
    verifying.shift()?.();
    await settle();
  }
  expect(await Promise.all(strangers)).toEqual(strangers.map(() => FORGED));
});

it('verifies the token of a connected client, however many strangers wait', async () => {
  for (let n = 0; n < 2_002; n += 1) void issuer.authenticate(token, 'Newcomer');
  await settle();
  const connected = issuer.authenticate(token, 'Connected');
  await settle();
  expect(verifying).toHaveLength(3);
  verifying.pop()?.();
  expect(await connected).toEqual(FORGED);
});

it('verifies tokens while others wait for a key that their issuer does not have yet', async () => {
  for (let n = 0; n < 10; n += 1) void issuer.authenticate(signedWith('missing'), 'Newcomer');
  await settle();
  const stranger = issuer.authenticate(token, 'Newcomer');
  await settle();
  verifying.pop()?.();
  expect(await stranger).toEqual(FORGED);
});
