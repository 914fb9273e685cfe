// An OIDC issuer at the URL that it is given: discovery, its keys, and at /token?claims={...} what anybody wants to be.
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [url] = process.argv.slice(2);
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const header = { alg: 'ES256', kid: 'one' };
const keys = [{ ...publicKey.export({ format: 'jwk' }), ...header, use: 'sig' }];

function tokenWith(claims) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: url, aud: 'copilot-gateway', iat: now, exp: now + 3600, ...claims };
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

const [cert, key] = ['tls.crt', 'tls.key'].map((name) => readFileSync(`/certificate/${name}`));
createServer({ cert, key }, (request, response) => {
  const { pathname, searchParams } = new URL(request.url, url);
  if (pathname === '/.well-known/openid-configuration') {
    response.end(JSON.stringify({ issuer: url, jwks_uri: `${url}/keys` }));
  } else if (pathname === '/keys') {
    response.end(JSON.stringify({ keys }));
  } else if (pathname === '/token') {
    response.end(tokenWith(JSON.parse(searchParams.get('claims') ?? '{}')));
  } else {
    response.writeHead(404).end();
  }
}).listen(8443);
