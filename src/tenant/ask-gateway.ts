/** Asks one replica of the gateway on its internal port. */
import { readFileSync } from 'node:fs';
import { addressOf } from '../copilot/index.ts';
import { toError } from '../kube/types/errors.ts';
import { parseTenantCounts, type TenantCount } from '../resources/gateway-internal.ts';

/** How replicas are reached. */
export interface InternalPort {
  readonly port: number;
  /** File of a Kubernetes token for the internal port. The kubelet replaces it, so it is read each time. */
  readonly tokenFile: string;
}

const TIMEOUT_MS = 5_000;
/** A tenant takes at most 350 bytes of an answer. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const MAX_MESSAGE = 200;

/** The tenants that have clients at the replica with this address. Rejects if it does not answer as it should. */
export async function askGateway(
  host: string,
  { port, tokenFile }: InternalPort,
  stop: AbortSignal,
): Promise<TenantCount[]> {
  const token = readFileSync(tokenFile, 'utf8').trim();
  const response = await request(`http://${addressOf({ host, port })}/tenants`, {
    headers: { authorization: `Bearer ${token}` },
    redirect: 'error',
    signal: AbortSignal.any([stop, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  const text = await readText(response);
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${text.slice(0, MAX_MESSAGE).trim()}`);
  return parseTenantCounts(text);
}

/** @throws Error that says what `fetch` only has as its cause, such as ECONNREFUSED */
async function request(url: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(url, options);
  } catch (error) {
    const { cause } = toError(error);
    throw cause instanceof Error ? cause : error;
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
