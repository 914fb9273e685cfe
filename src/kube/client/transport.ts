/**
 * HTTP to the API server: connection pools, credentials, deadlines and retries; knows paths and JSON, not resource
 * types.
 */
import type { Dispatcher } from 'undici';
import type { Clock, Random } from '../clock/clock.ts';
import { TimerQueue } from '../clock/timer-queue.ts';
import { StatusError, toError, TransportError, type RequestLine } from '../types/errors.ts';
import { CallContext } from './call-context.ts';
import { CallLimit } from './call-limit.ts';
import type { Auth, Credentials } from './config.ts';
import { isCertificateProblem, networkErrorOf, parseJson, statusErrorOf } from './response.ts';
import { decideRetry, type RetryDecision } from './retry.ts';
import { createPool } from './pool.ts';
import { exchange, type Exchanged } from './exchange.ts';
import { withoutManagedFields } from './slim-json.ts';

/** Query of a URL; absent values are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

/** HTTP methods of the API server. */
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One call; it may take several attempts. */
export interface TransportRequest {
  method: Method;
  path: string;
  query?: Query | undefined;
  /** Sent as JSON. */
  body?: unknown;
  /** Default: application/json. */
  contentType?: string | undefined;
  /** ms for the whole call, waits and retries included; for a stream: until its headers. Default 30,000. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Executing it twice has the same effect as once, so it may be sent again after a lost response. Default: only GET. */
  idempotent?: boolean | undefined;
  /** The object of the response is read without its managed fields. */
  slim?: boolean | undefined;
  /** Called before every attempt; what it throws ends the call (the write gate of leader election). */
  beforeSend?: (() => void) | undefined;
}

/** One attempt, as the observer gets it. */
export interface RequestRecord extends RequestLine {
  host: string;
  /** HTTP status code, or `<error>` if there was none (as in client-go). */
  code: string;
  /** Until the whole response was read; for a stream, until its headers. */
  durationMs: number;
  stream: boolean;
}

/** Receives every attempt and every retry: metrics and logs are attached here. */
export interface TransportObserver {
  request?(record: RequestRecord): void;
  retry?(record: RequestLine & { host: string; decision: RetryDecision; error: Error }): void;
}

/** What a transport needs. */
export interface TransportOptions {
  credentials: Credentials;
  clock: Clock;
  random: Random;
  observer?: TransportObserver | undefined;
  /** Default deadline of a call in ms. Default 30,000. */
  deadlineMs?: number | undefined;
  /** Connections of the request pool; further requests wait. Default 32. */
  connections?: number | undefined;
  userAgent?: string | undefined;
}

/** A request, and whether its response has no end. */
type Attempted = TransportRequest & { stream?: boolean };
/** Sends one attempt; `read` then gives its result or throws what the server answered. */
type Send<T> = (auth: Auth, whenWritten: () => void) => Promise<{ statusCode: number; read: () => T | Promise<T> }>;

interface Pools {
  fingerprint: string;
  requests: Dispatcher;
  /** Separate, so that a request never waits for watches. */
  watches: Dispatcher;
}

const DEADLINE_MS = 30_000;
const CONNECTIONS = 32;
/** Requests of one reconcile, so that a few slow ones leave connections to the others, however many it would like to send. */
const REQUESTS_PER_SIGNAL = 4;

/** Raw JSON over pooled connections (docs/adr/0002-transport.md). */
export class Transport {
  readonly #options: TransportOptions;
  readonly #limit = new CallLimit(REQUESTS_PER_SIGNAL);
  readonly #prefix: string;
  /** Nearly all deadlines are cancelled within milliseconds, and a timer of node is several objects. */
  readonly #deadlines: Pick<Clock, 'setTimer'>;
  #pools: Pools | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    const { clock } = options;
    const timers = new TimerQueue(clock);
    this.#deadlines = { setTimer: (ms, fn) => timers.setTimerAt(clock.monotonic() + ms, fn) };
    this.#prefix = options.credentials.server.pathname.replace(/\/+$/, '');
  }

  /**
   * Parsed JSON of a 2xx response. Throws StatusError or TransportError. Of the requests with one signal only a few are sent at once; the
   * others wait, and their deadlines begin when they are sent.
   */
  async request<T>(request: TransportRequest): Promise<T> {
    const { clock, random, observer } = this.#options;
    using _turn = await this.#turn(request);
    using context = this.#context(request);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#exchange(request, context, ({ statusCode, headers, text }) => {
          if (statusCode >= 300) throw statusErrorOf(request, { statusCode, headers, text }, clock.now());
          return parseJson(request, request.slim ? withoutManagedFields(text) : text) as T;
        });
      } catch (thrown) {
        const error = toError(thrown);
        const idempotent = request.idempotent ?? request.method === 'GET';
        const decision = decideRetry(error, { attempt, idempotent, jitter: random() });
        // A wait beyond the deadline would only hide the real error behind a timeout.
        if (!decision.retry || decision.delayMs >= context.remainingMs()) throw error;
        observer?.retry?.({ method: request.method, path: request.path, host: this.#host, decision, error });
        await clock.sleep(decision.delayMs, context.signal);
      }
    }
  }

  /**
   * One attempt of a request whose response is no JSON. Throws StatusError for a 5xx, TransportError without a response. A 4xx is an
   * answer: who may not read the path has still reached the server.
   */
  async probe(request: TransportRequest): Promise<void> {
    using context = this.#context(request);
    await this.#exchange(request, context, (response) => {
      if (response.statusCode >= 500) throw statusErrorOf(request, response, this.#options.clock.now());
    });
  }

  /**
   * The chunks of a response without an end (a watch). The deadline applies until the headers have arrived; afterwards only the
   * signal, the server, or leaving the loop ends it. Retried only for stale credentials: resuming a watch is up to the reflector.
   */
  async *stream(request: TransportRequest): AsyncGenerator<Buffer, void, undefined> {
    using context = this.#context(request);
    const body = await this.#attempt({ ...request, stream: true }, context, async (auth) => {
      const options = { ...this.#dispatch(request, auth), signal: context.signal };
      const { statusCode, headers, body } = await this.#poolsFor(auth, request).watches.request(options);
      return {
        statusCode,
        read: async () => {
          if (statusCode < 300) return body;
          throw statusErrorOf(request, { statusCode, headers, text: await body.text() }, this.#options.clock.now());
        },
      };
    });
    context.liftDeadline();
    // An abort between two reads is emitted without a listener; the next read throws the same error.
    body.on('error', () => undefined);
    try {
      // Leaving the loop, here or by the reader's `break`, closes the connection.
      for await (const chunk of body) yield chunk as Buffer;
    } catch (cause) {
      throw context.signal.aborted ? context.signal.reason : networkErrorOf(request, cause);
    }
  }

  /** Waits for requests in flight (each has its deadline) and cuts watches. Further calls fail. */
  async close(): Promise<void> {
    this.#closed = true;
    const pools = this.#pools;
    this.#pools = undefined;
    await Promise.all([pools?.requests.close(), pools?.watches.destroy()]);
  }

  get #host(): string {
    return this.#options.credentials.server.host;
  }

  async #turn(request: TransportRequest): Promise<Disposable> {
    try {
      return await this.#limit.acquire(request.signal);
    } catch (cause) {
      throw new TransportError(request, 'aborted', 'cancelled by the caller', { cause, notSent: true });
    }
  }

  #context(request: TransportRequest): CallContext {
    const deadlineMs = request.deadlineMs ?? this.#options.deadlineMs ?? DEADLINE_MS;
    return new CallContext(this.#options.clock, request, deadlineMs, request.signal, this.#deadlines);
  }

  /** One attempt; `read` gets its whole response. */
  #exchange<T>(request: TransportRequest, context: CallContext, read: (response: Exchanged) => T): Promise<T> {
    return this.#attempt(request, context, async (auth, whenWritten) => {
      const options = { ...this.#dispatch(request, auth), ending: context, whenWritten };
      const response = await exchange(this.#poolsFor(auth, request).requests, options);
      return { statusCode: response.statusCode, read: () => read(response) };
    });
  }

  /** One attempt, and another with fresh credentials if the first ones were refused. */
  async #attempt<T>(request: Attempted, context: CallContext, send: Send<T>): Promise<T> {
    const { credentials } = this.#options;
    const found = credentials.get();
    const auth = found instanceof Promise ? await this.#credentials(request, context, found) : found;
    try {
      return await this.#send(request, auth, send);
    } catch (thrown) {
      const error = toError(thrown);
      // A rotated token gives 401; a rotated certificate authority, a certificate that no longer verifies.
      const stale = error instanceof StatusError ? error.code === 401 : isCertificateProblem(toError(error.cause));
      if (!stale) throw error;
      const fresh = await this.#credentials(request, context, credentials.refresh(auth));
      return await this.#send(request, fresh, send);
    }
  }

  async #credentials(request: TransportRequest, context: CallContext, pending: Promise<Auth>): Promise<Auth> {
    try {
      return await context.race(pending);
    } catch (cause) {
      if (cause instanceof TransportError) throw cause;
      throw new TransportError(request, 'credentials', `no credentials: ${toError(cause).message}`, {
        cause,
        notSent: true,
      });
    }
  }

  async #send<T>(request: Attempted, auth: Auth, send: Send<T>): Promise<T> {
    const { clock, observer } = this.#options;
    const { method, path, beforeSend, stream = false } = request;
    beforeSend?.();
    const startedAt = clock.monotonic();
    let code = '<error>';
    let refusal: Error | undefined;
    const whenWritten = (): void => {
      try {
        beforeSend?.();
      } catch (error) {
        throw (refusal = toError(error));
      }
    };
    try {
      const { statusCode, read } = await send(auth, whenWritten);
      code = String(statusCode);
      return await read();
    } catch (cause) {
      throw refusal ?? (cause instanceof StatusError ? cause : networkErrorOf(request, cause));
    } finally {
      const durationMs = clock.monotonic() - startedAt;
      observer?.request?.({ method, path, host: this.#host, code, durationMs, stream });
    }
  }

  #dispatch(request: TransportRequest, auth: Auth): Dispatcher.DispatchOptions {
    const headers: Record<string, string> = { ...auth.headers, accept: 'application/json' };
    if (this.#options.userAgent) headers['user-agent'] = this.#options.userAgent;
    let body: string | null = null;
    if (request.body !== undefined) {
      headers['content-type'] = request.contentType ?? 'application/json';
      body = JSON.stringify(request.body);
    }
    const { origin } = this.#options.credentials.server;
    return {
      origin,
      method: request.method,
      path: `${this.#prefix}${request.path}${search(request.query)}`,
      headers,
      body,
    };
  }

  #poolsFor(auth: Auth, request: RequestLine): Pools {
    if (this.#closed) {
      throw new TransportError(request, 'aborted', 'the transport is closed', { notSent: true });
    }
    if (this.#pools?.fingerprint === auth.fingerprint) return this.#pools;
    const old = this.#pools;
    const pool = (connections: number | null): Dispatcher => createPool(this.#options.credentials, auth, connections);
    this.#pools = {
      fingerprint: auth.fingerprint,
      requests: pool(this.#options.connections ?? CONNECTIONS),
      watches: pool(null),
    };
    // The certificates have changed: requests in flight may finish on the old connections.
    if (old) for (const dispatcher of [old.requests, old.watches]) void dispatcher.close();
    return this.#pools;
  }
}

function search(query: Query | undefined): string {
  if (query === undefined) return '';
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, String(value));
  return params.size > 0 ? `?${params.toString()}` : '';
}
