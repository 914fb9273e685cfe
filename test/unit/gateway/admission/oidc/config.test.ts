import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parseOidcConfig } from '../../../../../src/gateway/admission/oidc/config.ts';
import { ConfigError } from '../../../../../src/kube/types/errors.ts';
import { PrivateCA } from '../../../../support/private-ca.ts';

const noFile = (path: string): string => {
  throw new Error(`ENOENT: ${path}`);
};
const issuer = { url: 'https://login.example.com', audiences: ['copilot-gateway'] };
const claimMappings = { username: { claim: 'sub', prefix: '' } };
const one = (fields: object) => stringify({ jwt: [{ issuer, claimMappings, ...fields }] });
const parse = (content: string, read = noFile) => parseOidcConfig(content, read);

/** What is said of a file that is refused. */
function refusal(content: string, read = noFile): string {
  try {
    parse(content, read);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('the file of OIDC issuers', () => {
  it('needs an issuer with audiences, and a claim for the user', () => {
    const [found] = parse(one({}));
    expect(found).toMatchObject({
      url: 'https://login.example.com',
      discoveryURL: new URL('https://login.example.com/.well-known/openid-configuration'),
      jwksURL: undefined,
      ca: undefined,
      audiences: ['copilot-gateway'],
      username: { claim: 'sub', prefix: '' },
      groups: undefined,
      rules: [],
    });
  });

  it('may be the one in docs/gateway.md', () => {
    const docs = readFileSync(join(import.meta.dirname, '../../../../../docs/gateway.md'), 'utf8');
    const [, sample = ''] = /```yaml\n(jwt:\n[^`]*)```/.exec(docs) ?? [];
    expect(parse(sample)).toMatchObject([
      { url: 'https://login.example.com/realms/acme', username: { claim: 'sub', prefix: 'acme:' } },
    ]);
  });

  it.each([
    ['https://login.example.com/realm/', 'https://login.example.com/realm/.well-known/openid-configuration'],
    ['https://login.example.com/realm', 'https://login.example.com/realm/.well-known/openid-configuration'],
  ])('finds the discovery document of %s', (url, discovery) => {
    expect(parse(one({ issuer: { ...issuer, url } }))[0]).toMatchObject({ url, discoveryURL: new URL(discovery) });
  });

  it('takes no algorithm by which whoever verifies a token can make one', () => {
    const algorithms = parse(one({}))[0]?.algorithms ?? [];
    expect(algorithms).toContain('RS256');
    expect(algorithms.filter((name) => !/^(RS|PS|ES)(256|384|512)$|^EdDSA$|^Ed25519$/.test(name))).toEqual([]);
    expect(parse(one({ signingAlgorithms: ['ES256'] }))[0]?.algorithms).toEqual(['ES256']);
  });

  it('takes a certificate authority as text or as a file', () => {
    using ca = new PrivateCA();
    const inline = parse(one({ issuer: { ...issuer, certificateAuthority: ca.pem } }));
    const file = one({ issuer: { ...issuer, certificateAuthorityFile: '/ca.pem' } });
    const asFile = parse(file, (path) => (path === '/ca.pem' ? ca.pem : noFile(path)));
    expect([inline[0]?.ca, asFile[0]?.ca]).toEqual([ca.pem, ca.pem]);
    expect(refusal(file)).toBe('jwt[0].issuer.certificateAuthorityFile cannot be read: ENOENT: /ca.pem');
    expect(refusal(file, () => 'no')).toContain('/ca.pem must have certificates in PEM');
  });

  it('takes the URL of the keys in place of discovery', () => {
    const jwksURL = 'https://keys.example.com/jwks?realm=a';
    expect(parse(one({ issuer: { ...issuer, jwksURL } }))[0]).toMatchObject({
      jwksURL: new URL(jwksURL),
      discoveryURL: undefined,
    });
  });

  it.each<[string, string, string]>([
    ['that is empty', '', 'the file must be of type object'],
    ['that is no YAML', 'jwt: [', 'it is not YAML'],
    ['without issuers', 'jwt: []', 'jwt must not be empty'],
    [
      'of 65 issuers',
      stringify({ jwt: Array.from({ length: 65 }, () => ({ issuer, claimMappings })) }),
      'jwt must have at most 64 items',
    ],
    [
      'that names an issuer twice',
      stringify({
        jwt: [
          { issuer, claimMappings },
          { issuer, claimMappings },
        ],
      }),
      'jwt[1].issuer.url is the same as jwt[0].issuer.url',
    ],
    ['of kube-apiserver', `kind: AuthenticationConfiguration\n${one({})}`, 'the file has unknown fields: kind'],
    ['with http', one({ issuer: { ...issuer, url: 'http://a' } }), 'jwt[0].issuer.url must be an https URL'],
    ['with a password', one({ issuer: { ...issuer, url: 'https://a:b@c' } }), 'jwt[0].issuer.url must be an https'],
    [
      'with a query',
      one({ issuer: { ...issuer, url: 'https://a?b' } }),
      'jwt[0].issuer.url must be an https URL without',
    ],
    ['without audiences', one({ issuer: { url: issuer.url } }), 'jwt[0].issuer.audiences is required'],
    ['with no audience', one({ issuer: { ...issuer, audiences: [] } }), 'jwt[0].issuer.audiences must not be empty'],
    ['with one audience as text', one({ issuer: { ...issuer, audiences: 'a' } }), 'audiences must be of type array'],
    [
      'that says twice where the keys are',
      one({ issuer: { ...issuer, jwksURL: issuer.url, discoveryURL: issuer.url } }),
      'jwt[0].issuer must not have both discoveryURL and jwksURL',
    ],
    [
      'with an authority that is none',
      one({ issuer: { ...issuer, certificateAuthority: 'no' } }),
      'jwt[0].issuer.certificateAuthority must be certificates in PEM',
    ],
    [
      'with both kinds of authority',
      one({ issuer: { ...issuer, certificateAuthorityFile: '/a', certificateAuthority: 'no' } }),
      'certificateAuthority',
    ],
    ['without a prefix', one({ claimMappings: { username: { claim: 'sub' } } }), 'username.prefix is required'],
    [
      'with an expression',
      one({ claimMappings: { username: { claim: 'sub', prefix: '', expression: 'claims.sub' } } }),
      'jwt[0].claimMappings.username has unknown fields: expression',
    ],
    [
      'that makes users of Kubernetes',
      one({ claimMappings: { username: { claim: 'sub', prefix: 'system:' } } }),
      'jwt[0].claimMappings.username.prefix must not begin with system:',
    ],
    [
      'that makes groups of Kubernetes',
      one({ claimMappings: { ...claimMappings, groups: { claim: 'g', prefix: 'system:masters-' } } }),
      'jwt[0].claimMappings.groups.prefix must not begin with system:',
    ],
    ['with HS256', one({ signingAlgorithms: ['HS256'] }), 'jwt[0].signingAlgorithms[0] must be one of RS256,'],
    ['without a signature', one({ signingAlgorithms: ['none'] }), 'jwt[0].signingAlgorithms[0] must be one of RS256,'],
  ])('%s is refused, and says which field is wrong', (_, content, message) => {
    expect(refusal(content)).toContain(message);
  });
});
