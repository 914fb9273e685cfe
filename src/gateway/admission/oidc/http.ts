/** Reads JSON from an issuer: https only, no redirects, and never more than is bounded. */
import type { CallContext } from '../../../kube/client/call-context.ts';
import { exchange } from '../../../kube/client/exchange.ts';
import { createPool } from '../../../kube/client/pool.ts';
import type { ProxySetting } from '../../../kube/client/proxy.ts';
import { networkErrorOf } from '../../../kube/client/response.ts';

/** How an issuer is reached. */
export interface IssuerRoute {
  /** What its certificate must be signed with, PEM; undefined: a public authority. */
  readonly ca: string | undefined;
  readonly proxy: ProxySetting | undefined;
}

/** A set of hundred keys with certificates has less. */
const MAX_BYTES = 256 * 1024;

/** The parsed body. It quotes nothing of it in errors. @throws Error with the URL, if there is none within the call's deadline */
export async function readJSON(url: URL, { ca, proxy }: IssuerRoute, ending: CallContext): Promise<unknown> {
  const pool = createPool(
    { server: url, proxy },
    { headers: {}, tls: ca === undefined ? {} : { ca }, fingerprint: '' },
    1,
  );
  const line = { method: 'GET', path: url.href } as const;
  try {
    const { statusCode, text } = await exchange(pool, {
      method: 'GET',
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      headers: { accept: 'application/json' },
      ending,
      maxBodyBytes: MAX_BYTES,
    }).catch((error: unknown) => {
      throw networkErrorOf(line, error);
    });
    if (statusCode !== 200) throw new Error(`GET ${url.href}: answered with status ${statusCode} instead of 200`);
    return parseJSON(url, text);
  } finally {
    // Keys are read every few minutes: no connection waits for that.
    await pool.destroy();
  }
}

function parseJSON(url: URL, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Without the parser's words, which quote the body.
    throw new Error(`GET ${url.href}: the answer is not JSON`);
  }
}
