/** Where the keys of an issuer come from: a key set (JWKS) that its discovery document names, or the configuration. */
import type { JSONWebKeySet } from 'jose';
import { CallContext } from '../../../kube/client/call-context.ts';
import type { ProxySetting } from '../../../kube/client/proxy.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { isHttpsURL, type IssuerConfig } from './config.ts';
import { readJSON } from './http.ts';

/** What is needed to read keys. */
export interface KeySourceOptions {
  readonly config: Pick<IssuerConfig, 'url' | 'discoveryURL' | 'jwksURL' | 'ca'>;
  readonly clock: Clock;
  /** The proxy on the way to a server, as the environment says. */
  readonly proxyFor: (server: URL) => ProxySetting | undefined;
}

/** For discovery and keys together. Less than the time that a connection has until it is admitted. */
const DEADLINE_MS = 4_000;

/** The key set as it is now. @throws Error with the URL, also if what is there is no key set of this issuer */
export async function readKeys({ config, clock, proxyFor }: KeySourceOptions): Promise<JSONWebKeySet> {
  const { url, discoveryURL, jwksURL, ca } = config;
  const first = jwksURL ?? discoveryURL ?? new URL(url);
  using context = new CallContext(clock, { method: 'GET', path: first.href }, DEADLINE_MS, undefined);
  const read = (from: URL): Promise<unknown> => readJSON(from, { ca, proxy: proxyFor(from) }, context);
  const from = jwksURL ?? jwksURLOf(await read(first), url, first);
  const keys = await read(from);
  if (!isKeySet(keys)) throw new Error(`GET ${from.href}: the answer is not a key set with at least one key`);
  return keys;
}

/** An issuer that names itself otherwise in its discovery document is another one. */
function jwksURLOf(document: unknown, url: string, from: URL): URL {
  const { issuer, jwks_uri: jwks } = Object(document) as Record<string, unknown>;
  if (issuer !== url) throw new Error(`GET ${from.href}: "issuer" in the answer is not ${url}`);
  if (typeof jwks !== 'string' || !isHttpsURL(jwks)) {
    throw new Error(`GET ${from.href}: "jwks_uri" in the answer is not an https URL without user and fragment`);
  }
  return new URL(jwks);
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  const { keys } = Object(value) as Record<string, unknown>;
  return Array.isArray(keys) && keys.length > 0;
}
