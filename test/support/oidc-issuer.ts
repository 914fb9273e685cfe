// An OIDC issuer: discovery and keys over https, and tokens that it signs. It breaks as a test tells it to.
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import type { PrivateCA, ServerCertificate } from './private-ca.ts';

/** A key pair, and how it is published. */
interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

/** How the key set is answered. */
export type KeySetFault = 'Hang' | 'HangInBody' | 'Huge' | 'Status' | 'Redirect' | 'NoJSON' | 'Empty';

export interface OidcIssuerOptions {
  /** For 127.0.0.1. */
  readonly certificate: ServerCertificate;
  /** What its discovery document says that its name is; default: its URL. */
  readonly claimsToBe?: string;
}

export class OidcIssuer implements AsyncDisposable {
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  fault: KeySetFault | undefined;
  readonly #server: Server;
  readonly #claimsToBe: string | undefined;
  #published: SigningKey[] = [];
  #made = 0;

  private constructor({ certificate, claimsToBe }: OidcIssuerOptions) {
    this.#claimsToBe = claimsToBe;
    this.#server = createServer({ ...certificate }, (request, response) => {
      const { url = '' } = request;
      this.asked.push(url);
      if (url.endsWith('/.well-known/openid-configuration')) {
        response.end(JSON.stringify({ issuer: this.#claimsToBe ?? this.url, jwks_uri: `${this.url}/keys` }));
      } else if (this.fault === 'HangInBody') {
        response.write('{"keys":[');
      } else if (this.fault === 'Huge') {
        response.end(JSON.stringify({ keys: this.keys, filling: 'x'.repeat(10 * 1024 * 1024) }));
      } else if (this.fault === 'Status') {
        response.writeHead(503).end('try later');
      } else if (this.fault === 'Redirect') {
        response.writeHead(302, { location: `${this.url}/keys-elsewhere` }).end();
      } else if (this.fault === 'NoJSON') {
        response.end('<html>sesame</html>');
      } else if (this.fault === 'Empty') {
        response.end('{"keys":[]}');
      } else if (this.fault !== 'Hang') {
        response.end(JSON.stringify({ keys: this.keys }));
      }
    });
  }

  /** With one key, for ES256. */
  static async start(options: OidcIssuerOptions): Promise<OidcIssuer> {
    const issuer = new OidcIssuer(options);
    issuer.#server.listen(0, '127.0.0.1');
    await once(issuer.#server, 'listening');
    await issuer.addKey('ES256');
    return issuer;
  }

  /** As in `iss` of its tokens. */
  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}/realm`;
  }

  /** The keys that it publishes. */
  get keys(): JWK[] {
    return this.#published.map(({ jwk }) => jwk);
  }

  /** How often the key set was asked for. */
  get keyReads(): number {
    return this.asked.filter((path) => path.endsWith('/keys')).length;
  }

  /** Makes a key that signs from now on, and publishes it beside the others. */
  async addKey(alg: string): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `key-${(this.#made += 1)}`;
    const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
    this.#published.unshift({ kid, alg, privateKey, jwk });
  }

  /** A new key in place of all others. */
  async rotate(alg = 'ES256'): Promise<void> {
    this.#published = [];
    await this.addKey(alg);
  }

  /** Publishes what it signs with, as nobody should. */
  async publishPrivateKey(): Promise<void> {
    for (const { jwk, privateKey } of this.#published) Object.assign(jwk, await exportJWK(privateKey));
  }

  /** A token as it signs them, valid for an hour from the time of this machine; `claims` and `header` in place of its own. */
  async token(claims: object = {}, header: object = {}): Promise<string> {
    const [key] = this.#published;
    if (key === undefined) throw new Error('the issuer has no key');
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: this.url, aud: 'copilot-gateway', sub: 'alice', iat: now, exp: now + 3600, ...claims };
    return new SignJWT(payload).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
  }

  /** What `--oidc-config` has for it; `fields` in place of these. */
  config(ca: PrivateCA, fields: object = {}): object {
    const username = { claim: 'sub', prefix: 'oidc:' };
    const groups = { claim: 'groups', prefix: 'oidc:' };
    const issuer = { url: this.url, audiences: ['copilot-gateway'], certificateAuthority: ca.pem };
    return { issuer, claimMappings: { username, groups }, ...fields };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
