/**
 * HTTP between the operator and the gateway: the port that one of them has for the other. Who asks has the key that both share, and shows a
 * Kubernetes token (docs/adr/0050-operator-and-gateway-by-key.md).
 */
import { readFileSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { toError } from '../types/errors.ts';
import type { Keys } from '../types/keys.ts';
import { connectByKeys, serverByKeys, splitAddress } from './keyed-tls.ts';
import { closeAll, listen, type Address } from './listen.ts';

/** What an internal port is made of. */
export interface InternalPortOptions {
  readonly keys: Keys;
  /** Whether people may come without the key by `kubectl port-forward`, which connects to the loopback of the pod. Default: false. */
  readonly isOpenToLoopback?: boolean;
  /** Answers a request. A rejection is logged, and ends the connection. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly log: Pick<Logger, 'debug' | 'error'>;
}

/** Why a request is not answered as asked. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/** Its callers are few. */
const MAX_CONNECTIONS = 64;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const BEARER = /^Bearer ([\x21-\x7e]+)$/i;
/** To which the kubelet connects for `kubectl port-forward`, as a server of IPv6 sees it, too. */
const LOOPBACK: ReadonlySet<unknown> = new Set(['127.0.0.1', '::ffff:127.0.0.1', '::1']);

/** The server of an internal port. */
export class InternalPortServer {
  readonly #options: InternalPortOptions;
  readonly #server: Server;
  /** Those in the handshake, too, of which the server does not know. */
  readonly #sockets = new Set<Socket>();

  constructor(options: InternalPortOptions) {
    const { handle, log } = options;
    this.#options = options;
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      handle(request, response).catch((error: unknown) => {
        log.error({ err: error }, 'failed to answer on the internal port');
        response.destroy();
      });
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#secure();
  }

  /** Resolves to the port; rejects if it is in use. */
  listen(at: Address): Promise<number> {
    return listen(this.#server, at, (error) => {
      this.#options.log.error({ err: error }, 'failed to accept a connection on the internal port');
    });
  }

  /** Closes open connections, too. */
  close(): Promise<void> {
    const closed = closeAll(this.#server);
    for (const socket of this.#sockets) socket.destroy();
    return closed;
  }

  /** Puts TLS before what the server does with a connection. It stays the server that listens: one that does not has no time-outs of requests. */
  #secure(): void {
    const server = this.#server;
    const { keys, log, isOpenToLoopback = false } = this.#options;
    const [serve] = server.listeners('connection');
    server.removeAllListeners('connection');
    const tls = serverByKeys(keys, HANDSHAKE_TIMEOUT_MS, (socket) => serve?.call(server, socket));
    tls.on('tlsClientError', ({ message }) =>
      log.debug({ error: message }, 'a connection to the internal port failed'),
    );
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (isOpenToLoopback && LOOPBACK.has(socket.localAddress)) serve?.call(server, socket);
      else tls.emit('connection', socket);
    });
  }
}

/** The token that a request shows; undefined: it shows none. */
export function bearerToken({ headers }: IncomingMessage): string | undefined {
  return BEARER.exec(headers.authorization ?? '')?.[1];
}

/** For a request without one. */
export const NO_TOKEN: Refusal = { status: 401, message: 'present a Kubernetes token as Authorization: Bearer' };

export function refuse(response: ServerResponse, { status, message }: Refusal): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`);
}

/** What a request or an answer says; undefined: it is longer than that. */
export async function readText(body: AsyncIterable<Buffer>, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const TIMEOUT_MS = 5_000;
/** A tenant takes at most 350 bytes of an answer. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const MAX_MESSAGE = 200;

/** An answer that is not 2xx. */
export class AnswerError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`HTTP ${status}: ${text.slice(0, MAX_MESSAGE).trim()}`);
    this.status = status;
  }
}

/** What whoever asks shows. */
export interface Credentials {
  readonly keys: Keys;
  /** File of a Kubernetes token. The kubelet replaces it, so it is read each time. */
  readonly tokenFile: string;
}

/** What is asked. */
export interface Question {
  readonly path: string;
  /** Sent by POST, as JSON; undefined: GET. */
  readonly body?: object;
}

/**
 * Asks the internal port at `host:port`, and resolves to its answer. It ends after five seconds. Each request has a connection of its own, so that a
 * key that was replaced is not used on.
 * @throws AnswerError
 */
export async function askInternalPort(
  address: string,
  { keys, tokenFile }: Credentials,
  stop: AbortSignal,
  { path, body }: Question,
): Promise<string> {
  const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
  const signal = AbortSignal.any([stop, AbortSignal.timeout(TIMEOUT_MS)]);
  const at = splitAddress(address);
  try {
    const socket = await connectByKeys(at, keys, signal);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { authorization, ...(body && { 'content-type': 'application/json' }) };
      const options = { ...at, path, headers, signal, createConnection: () => socket };
      request({ ...options, method: body === undefined ? 'GET' : 'POST' }, resolve)
        .on('error', reject)
        .end(body && JSON.stringify(body));
    });
    const { statusCode: status = 0 } = response;
    const text = await readText(response, MAX_ANSWER_BYTES);
    if (text === undefined) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
    if (status < 200 || status >= 300) throw new AnswerError(status, text);
    return text;
  } catch (error) {
    throw signal.aborted ? toError(signal.reason) : error;
  }
}
