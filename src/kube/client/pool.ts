/** The pools of connections to the API server. */
import { Pool, ProxyAgent, type Dispatcher } from 'undici';
import type { Auth, Credentials } from './config.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Below the API server's 90 s, so that the client closes an idle connection first: losing that race fails a write. */
const KEEP_ALIVE_MS = 60_000;

/** A pool for requests with these credentials, through the proxy if there is one. `connections`: null for any number. */
export function createPool(
  { server, proxy }: Pick<Credentials, 'server' | 'proxy'>,
  auth: Auth,
  connections: number | null,
): Dispatcher {
  const connect = { ...auth.tls, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: CONNECT_TIMEOUT_MS };
  const options: Pool.Options = {
    connections,
    // A single HTTP/2 connection would take every watch down with it, and the fault tests speak HTTP/1.1.
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    // Deadlines are ours, on the injected clock.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  if (proxy === undefined) return new Pool(server.origin, { ...options, connect });
  // The tunnel of every connection is opened by a request of its own, to the proxy.
  const clientFactory = (url: URL, toProxy: object): Pool =>
    new Pool(url, { ...toProxy, headersTimeout: CONNECT_TIMEOUT_MS });
  return new ProxyAgent({
    ...options,
    uri: proxy.url.href,
    requestTls: connect,
    connectTimeout: CONNECT_TIMEOUT_MS,
    clientFactory,
  });
}
