/** The internal port of the operator that leads: where the gateway says which sleeping tenants clients wait for. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  bearerToken,
  type InternalPortOptions,
  InternalPortServer,
  NO_TOKEN,
  readText,
  refuse,
  type Refusal,
} from '../kube/runtime/internal-port.ts';
import { toError } from '../kube/types/errors.ts';
import { MAX_WAKES_BYTES, parseWakeAsks, WAKES_PATH, type WakeAsk } from '../resources/operator-internal.ts';

/** What it serves. */
export interface WakeServerOptions extends Pick<InternalPortOptions, 'keys' | 'log'> {
  /** Whether whoever has this Kubernetes token may ask: their name, or why not. It never rejects. */
  readonly authorize: (token: string) => Promise<{ readonly user: string } | Refusal>;
  readonly ask: (asks: readonly WakeAsk[]) => void;
}

/** Answers `POST /wakes`: 202, and what becomes of it stands in the status of each tenant. */
export class WakeServer extends InternalPortServer {
  readonly #options: WakeServerOptions;

  constructor(options: WakeServerOptions) {
    super({ ...options, handle: (request, response) => this.#handle(request, response) });
    this.#options = options;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authorize, ask } = this.#options;
    const { method, url } = request;
    if (url !== WAKES_PATH) return void response.writeHead(404).end();
    if (method !== 'POST') return void response.writeHead(405, { allow: 'POST' }).end();
    const token = bearerToken(request);
    if (token === undefined) return refuse(response, NO_TOKEN);
    const decision = await authorize(token);
    if (!('user' in decision)) return refuse(response, decision);
    const text = await readText(request, MAX_WAKES_BYTES);
    if (text === undefined) {
      return refuse(response, { status: 413, message: `the request has more than ${MAX_WAKES_BYTES} bytes` });
    }
    let asks: readonly WakeAsk[];
    try {
      asks = parseWakeAsks(text);
    } catch (error) {
      return refuse(response, { status: 400, message: toError(error).message });
    }
    ask(asks);
    response.writeHead(202, { 'cache-control': 'no-store' }).end();
  }
}
