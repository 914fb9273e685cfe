// Tokens of real issuers, over https: what is verified, and what an issuer that misbehaves can do to others.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { exportSPKI, importJWK, SignJWT, UnsecuredJWT, type CryptoKey } from 'jose';
import { stringify } from 'yaml';
import type { TokenIssuer } from '../../../../../src/gateway/admission/admission.ts';
import { parseOidcConfig, type IssuerConfig } from '../../../../../src/gateway/admission/oidc/config.ts';
import { Issuers } from '../../../../../src/gateway/admission/oidc/issuers.ts';
import { COOL_DOWN_MS } from '../../../../../src/gateway/admission/oidc/keys.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { OidcIssuer, type KeySetFault } from '../../../../support/oidc-issuer.ts';
import { PrivateCA, type ServerCertificate } from '../../../../support/private-ca.ts';
import { waitFor } from '../../../../support/wait.ts';

let ca: PrivateCA;
let certificate: ServerCertificate;
let issuer: OidcIssuer;
let other: OidcIssuer;
/** Begins at the time of this machine, by which the issuers make tokens. */
let clock: FakeClock;
let issuers: Issuers;
let results: string[];

beforeAll(() => {
  ca = new PrivateCA();
  certificate = ca.issue('IP:127.0.0.1');
});
afterAll(() => ca[Symbol.dispose]());

beforeEach(async () => {
  clock = new FakeClock(Date.now());
  results = [];
  issuer = await OidcIssuer.start({ certificate });
  other = await OidcIssuer.start({ certificate });
  issuers = trusted(issuer.config(ca), other.config(ca));
});
afterEach(async () => {
  await issuer[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

function trusted(...jwt: object[]): Issuers {
  const configs = configsOf(...jwt);
  const observer = { readKeys: (result: string) => results.push(result) };
  const log = { info: () => undefined, warn: () => undefined };
  return new Issuers({ configs, clock, log, observer, proxyFor: () => undefined });
}

function configsOf(...jwt: object[]): readonly IssuerConfig[] {
  return parseOidcConfig(stringify({ jwt }), () => '');
}

function issuerOf(token: string): TokenIssuer {
  const found = issuers.of(token);
  if (found === undefined) throw new Error('the token is of no issuer');
  return found;
}

/** The user's name, or what is wrong with the token. */
async function whose(token: string): Promise<string> {
  const user = await issuerOf(token).authenticate(token, 'Newcomer');
  return 'problem' in user ? user.problem : user.name;
}

const seconds = (): number => Math.floor(clock.now() / 1000);

describe('a token of a configured issuer', () => {
  it('is of its user, with groups and expiry', async () => {
    const exp = seconds() + 60;
    const token = await issuer.token({ sub: 'alice', groups: ['dev'], exp });
    expect(await issuerOf(token).authenticate(token, 'Newcomer')).toMatchObject({
      name: 'oidc:alice',
      groups: ['oidc:dev'],
      expiresAt: exp * 1000,
    });
    expect(issuer.asked).toEqual(['/realm/.well-known/openid-configuration', '/realm/keys']);
  });

  it.each(['RS256', 'PS512', 'ES256', 'ES384', 'EdDSA'])('may be signed with %s', async (alg) => {
    await issuer.rotate(alg);
    expect(await whose(await issuer.token())).toBe('oidc:alice');
  });

  it('needs no discovery where the configuration has the URL of the keys', async () => {
    const config = { url: issuer.url, audiences: ['a', 'b'], certificateAuthority: ca.pem };
    issuers = trusted(issuer.config(ca, { issuer: { ...config, jwksURL: `${issuer.url}/keys` } }));
    expect(await whose(await issuer.token({ aud: ['x', 'b'] }))).toBe('oidc:alice');
    expect(issuer.asked).toEqual(['/realm/keys']);
  });

  it.each<[string, () => object, string]>([
    ['for another audience', () => ({ aud: 'elsewhere' }), 'for none of issuer.audiences'],
    ['for nobody', () => ({ aud: [] }), 'for none of issuer.audiences'],
    ['that has expired', () => ({ exp: seconds() }), 'has expired'],
    ['that never expires', () => ({ exp: undefined }), 'the claim exp'],
    ['that expires at no time', () => ({ exp: 'never' }), 'the claim exp'],
    ['that is not valid yet', () => ({ nbf: seconds() + 60 }), 'not valid yet'],
    ['without a user', () => ({ sub: undefined }), 'the claim sub'],
  ])("is nobody's: one %s", async (_, claims, problem) => {
    expect(await whose(await issuer.token(claims()))).toContain(problem);
  });

  it("is valid though the issuer's clock is a little ahead", async () => {
    expect(await whose(await issuer.token({ nbf: seconds() + 20 }))).toBe('oidc:alice');
  });

  it('ends when it says', async () => {
    const token = await issuer.token({ exp: seconds() + 60 });
    expect(await whose(token)).toBe('oidc:alice');
    await clock.advance(60_000);
    expect(await whose(token)).toBe('the OIDC token has expired');
    // By then the keys are old, and are read again meanwhile.
    await waitFor('the keys are read again', () => results.length === 2);
  });
});

describe('a token that somebody else made', () => {
  it('without a signature is refused', async () => {
    const claims = { iss: issuer.url, aud: 'copilot-gateway', sub: 'alice', exp: seconds() + 60 };
    const token = new UnsecuredJWT(claims).encode();
    expect(await whose(`${token}x`)).toContain('signingAlgorithms');
    expect(await whose(token)).toMatch(/signingAlgorithms|malformed/);
  });

  it.each(['HS256', 'HS512'])('with the public key as the secret of %s is refused', async (alg) => {
    await issuer.rotate('RS256');
    const [jwk = {}] = issuer.keys;
    const pem = await exportSPKI((await importJWK(jwk, 'RS256', { extractable: true })) as CryptoKey);
    for (const secret of [pem, pem.trim(), JSON.stringify(jwk), jwk.n ?? '']) {
      const token = await new SignJWT({ aud: 'copilot-gateway', sub: 'alice' })
        .setProtectedHeader({ alg, kid: jwk.kid ?? '' })
        .setIssuer(issuer.url)
        .setExpirationTime(seconds() + 60)
        .sign(new TextEncoder().encode(secret));
      expect(await whose(token)).toContain('an algorithm that signingAlgorithms does not have');
    }
  });

  it('with the key of another configured issuer is refused, though it has the same name', async () => {
    expect(issuer.keys[0]?.kid).toBe(other.keys[0]?.kid);
    expect(await whose(await other.token({ iss: issuer.url }))).toBe('the signature of the OIDC token is wrong');
  });

  it('with a key that it brings along is refused, and its URLs are not asked', async () => {
    const [jwk = {}] = other.keys;
    const header = { jwk, jku: `${other.url}/keys`, x5u: `${other.url}/keys` };
    expect(await whose(await other.token({ iss: issuer.url }, header))).toContain('signature');
    expect(other.asked).toEqual([]);
  });

  it('from a token of somebody else by another payload is refused', async () => {
    const [header, , signature] = (await issuer.token()).split('.');
    const [, payload] = (await issuer.token({ sub: 'root' })).split('.');
    expect(await whose([header, payload, signature].join('.'))).toContain('signature');
  });

  it('with an algorithm that its issuer does not use is refused', async () => {
    issuers = trusted(issuer.config(ca, { signingAlgorithms: ['RS256', 'ES384'] }));
    expect(await whose(await issuer.token())).toContain('signingAlgorithms');
  });

  it.each([
    ['more parts', (token: string) => `${token}.x`],
    ['a signature that is no base64', (token: string) => `${token}*`],
    ['a header that is no JSON', (token: string) => `x${token}`],
  ])('with %s is malformed', async (_, change) => {
    expect(await whose(change(await issuer.token()))).toContain('malformed');
  });

  it('is refused by an issuer that it does not name, though its key is right', async () => {
    const named = issuerOf(await issuer.token());
    expect(await named.authenticate(await issuer.token({ iss: other.url }), 'Newcomer')).toEqual({
      problem: 'the claim iss of the OIDC token is missing or wrong',
    });
  });

  it('is none of an issuer that is not configured', async () => {
    for (const iss of [`${issuer.url}/`, issuer.url.toUpperCase(), 'https://elsewhere.com', '', undefined]) {
      expect(issuers.of(await issuer.token({ iss }))).toBeUndefined();
    }
    expect(issuers.of('opaque')).toBeUndefined();
    expect(issuer.asked).toEqual([]);
  });
});

describe('a changed configuration', () => {
  it('trusts a new issuer, and one that was removed no more', async () => {
    issuers = trusted(issuer.config(ca));
    const [ours, others] = [await issuer.token(), await other.token()];
    expect(await whose(ours)).toBe('oidc:alice');
    expect(issuers.of(others)).toBeUndefined();
    issuers.replace(configsOf(other.config(ca)));
    expect(await whose(others)).toBe('oidc:alice');
    expect(issuers.of(ours)).toBeUndefined();
  });

  it('counts for the next token, and leaves the keys of an issuer that it does not concern', async () => {
    const tokens = [await issuer.token(), await other.token()];
    for (const token of tokens) await whose(token);
    const username = { claim: 'sub', prefix: 'changed:' };
    issuers.replace(configsOf(issuer.config(ca, { claimMappings: { username } }), other.config(ca)));
    expect(await Promise.all(tokens.map(whose))).toEqual(['changed:alice', 'oidc:alice']);
    expect([issuer.keyReads, other.keyReads]).toEqual([2, 1]);
  });
});

describe('the keys of an issuer', () => {
  it('end what is connected by a key that was withdrawn, within the time of two looks', async () => {
    const old = await issuer.token();
    expect(await whose(old)).toBe('oidc:alice');
    await issuer.rotate();
    await clock.advance(25_000);
    expect(await issuerOf(old).authenticate(old, 'Connected')).toEqual({
      problem: 'the OIDC token is signed with a key that its issuer does not have',
    });
  });

  it('are followed when they change', async () => {
    const old = await issuer.token();
    expect(await whose(old)).toBe('oidc:alice');
    await issuer.rotate();
    await clock.advance(COOL_DOWN_MS);
    expect(await whose(await issuer.token())).toBe('oidc:alice');
    expect(await whose(old)).toContain('a key that its issuer does not have');
  });

  it('are not read for each token with a key that is made up', async () => {
    await clock.advance(COOL_DOWN_MS);
    for (let count = 0; count < 20; count += 1) {
      expect(await whose(await issuer.token({}, { kid: `none-${count}` }))).toContain('does not have');
    }
    expect(issuer.keyReads).toBe(1);
  });

  it('must be told apart', async () => {
    await issuer.addKey('ES256');
    expect(await whose(await issuer.token({}, { kid: undefined }))).toContain('names no key (kid)');
    await issuer.rotate('EdDSA');
    await clock.advance(COOL_DOWN_MS);
    expect(await whose(await issuer.token({}, { kid: undefined }))).toBe('oidc:alice');
  });

  it.each<[KeySetFault, string]>([
    ['Huge', 'more than 262144 bytes'],
    ['Status', 'status 503'],
    ['Redirect', 'status 302'],
    ['NoJSON', 'not JSON'],
    ['Empty', 'not a key set with at least one key'],
  ])('that cannot be read (%s) admit nobody, and those of another issuer are not concerned', async (fault, why) => {
    issuer.fault = fault;
    const failure: unknown = await whose(await issuer.token()).catch((error: unknown) => error);
    expect(String(failure)).toContain(`the keys of the issuer ${issuer.url} are not known: GET ${issuer.url}/keys`);
    expect(String(failure)).toContain(why);
    expect(String(failure)).not.toContain('sesame');
    expect(await whose(await other.token())).toBe('oidc:alice');
    expect(results).toEqual(['Failed', 'Succeeded']);
    issuer.fault = undefined;
    await clock.advance(COOL_DOWN_MS);
    expect(await whose(await issuer.token())).toBe('oidc:alice');
  });

  it.each<KeySetFault>(['Hang', 'HangInBody'])(
    'that do not come (%s) are given up, and nobody else waits',
    async (fault) => {
      issuer.fault = fault;
      const waiting = whose(await issuer.token()).catch((error: unknown) => String(error));
      await waitFor('the issuer is asked', () => issuer.keyReads === 1);
      expect(await whose(await other.token())).toBe('oidc:alice');
      await clock.advance(4_000);
      expect(await waiting).toContain('no response within 4000 ms');
    },
  );

  it('are given up where not even the connection comes about', async () => {
    const silent = createServer();
    const connected = once(silent, 'connection') as Promise<[Socket]>;
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const jwksURL = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    issuers = trusted(issuer.config(ca, { issuer: { url: issuer.url, audiences: ['copilot-gateway'], jwksURL } }));
    const waiting = whose(await issuer.token()).catch((error: unknown) => String(error));
    const [socket] = await connected;
    await clock.advance(4_000);
    expect(await waiting).toContain(`GET ${jwksURL}: no response within 4000 ms`);
    socket.destroy();
    silent.close();
  });

  it('are not believed of a server with a certificate of another authority', async () => {
    using stranger = new PrivateCA('stranger');
    issuers = trusted(issuer.config(stranger));
    await expect(whose(await issuer.token())).rejects.toThrow(/certificate/);
    expect(issuer.asked).toEqual([]);
  });

  it('are not believed of an issuer that has another name', async () => {
    await using impostor = await OidcIssuer.start({ certificate, claimsToBe: issuer.url });
    issuers = trusted(impostor.config(ca));
    await expect(whose(await impostor.token())).rejects.toThrow(`"issuer" in the answer is not ${impostor.url}`);
    expect(impostor.keyReads).toBe(0);
  });

  it('are no use if they are private', async () => {
    await issuer.publishPrivateKey();
    await expect(whose(await issuer.token())).rejects.toThrow(`a key of the issuer ${issuer.url} cannot be used`);
  });
});
