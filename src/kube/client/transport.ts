/**
 * HTTP to the API server: connection pools, credentials, deadlines and retries; knows paths and JSON, not resource
 * types.
 */
import { Pool, ProxyAgent, type Dispatcher } from 'undici';
import type { Clock, Random } from '../clock/clock.ts';
import { StatusError, toError, TransportError, type RequestLine } from '../types/errors.ts';
import { CallContext } from './call-context.ts';
import { CallLimit } from './call-limit.ts';
import type { Auth, Credentials } from './config.ts';
import { isCertificateProblem, networkErrorOf, parseJson, statusErrorOf } from './response.ts';
import { decideRetry, type RetryDecision } from './retry.ts';

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

interface Pools {
  fingerprint: string;
  requests: Dispatcher;
  /** Separate, so that a request never waits for watches. */
  watches: Dispatcher;
}

const DEADLINE_MS = 30_000;
const CONNECTIONS = 32;
const CONNECT_TIMEOUT_MS = 10_000;
/** Requests of one reconcile, so that a few slow ones leave connections to the others, however many it would like to send. */
const REQUESTS_PER_SIGNAL = 4;
/** Below the API server's 90 s, so that the client closes an idle connection first: losing that race fails a write. */
const KEEP_ALIVE_MS = 60_000;

/** Raw JSON over pooled connections (docs/adr/0002-transport.md). */
export class Transport {
  readonly #options: TransportOptions;
  readonly #limit = new CallLimit(REQUESTS_PER_SIGNAL);
  #pools: Pools | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
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
        return await this.#attempt(request, context, 'requests', async ({ statusCode, headers, body }) => {
          const text = await body.text();
          if (statusCode >= 300) throw statusErrorOf(request, { statusCode, headers, text }, clock.now());
          return parseJson(request, text) as T;
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
    await this.#attempt(request, context, 'requests', async ({ statusCode, headers, body }) => {
      const text = await body.text();
      if (statusCode >= 500) throw statusErrorOf(request, { statusCode, headers, text }, this.#options.clock.now());
    });
  }

  /**
   * The chunks of a response without an end (a watch). The deadline applies until the headers have arrived; afterwards only the
   * signal, the server, or leaving the loop ends it. Retried only for stale credentials: resuming a watch is up to the reflector.
   */
  async *stream(request: TransportRequest): AsyncGenerator<Buffer, void, undefined> {
    using context = this.#context(request);
    const body = await this.#attempt(request, context, 'watches', async ({ statusCode, headers, body }) => {
      if (statusCode < 300) return body;
      throw statusErrorOf(request, { statusCode, headers, text: await body.text() }, this.#options.clock.now());
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
    return new CallContext(this.#options.clock, request, deadlineMs, request.signal);
  }

  /** One attempt, and another with fresh credentials if the first ones were refused. */
  async #attempt<T>(
    request: TransportRequest,
    context: CallContext,
    kind: 'requests' | 'watches',
    read: (response: Dispatcher.ResponseData) => Promise<T>,
  ): Promise<T> {
    const { credentials } = this.#options;
    const auth = await this.#credentials(request, context, credentials.get());
    try {
      return await this.#send(request, context, auth, kind, read);
    } catch (thrown) {
      const error = toError(thrown);
      // A rotated token gives 401; a rotated certificate authority, a certificate that no longer verifies.
      const stale = error instanceof StatusError ? error.code === 401 : isCertificateProblem(toError(error.cause));
      if (!stale) throw error;
      const fresh = await this.#credentials(request, context, credentials.refresh(auth));
      return await this.#send(request, context, fresh, kind, read);
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

  async #send<T>(
    request: TransportRequest,
    context: CallContext,
    auth: Auth,
    kind: 'requests' | 'watches',
    read: (response: Dispatcher.ResponseData) => Promise<T>,
  ): Promise<T> {
    const { clock, observer } = this.#options;
    request.beforeSend?.();
    const startedAt = clock.monotonic();
    let code = '<error>';
    let refusal: Error | undefined;
    const check = (): void => {
      try {
        request.beforeSend?.();
      } catch (error) {
        throw (refusal = toError(error));
      }
    };
    try {
      const pool = this.#poolsFor(auth, request)[kind];
      const sender = request.beforeSend === undefined ? pool : pool.compose(whenWritten(check));
      const response = await sender.request(this.#dispatch(request, auth, context.signal));
      code = String(response.statusCode);
      return await read(response);
    } catch (cause) {
      throw refusal ?? (cause instanceof StatusError ? cause : networkErrorOf(request, cause));
    } finally {
      const { method, path } = request;
      const durationMs = clock.monotonic() - startedAt;
      observer?.request?.({ method, path, host: this.#host, code, durationMs, stream: kind === 'watches' });
    }
  }

  #dispatch(request: TransportRequest, auth: Auth, signal: AbortSignal): Dispatcher.RequestOptions {
    const prefix = this.#options.credentials.server.pathname.replace(/\/+$/, '');
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
      path: `${prefix}${request.path}${search(request.query)}`,
      headers,
      body,
      signal,
    };
  }

  #poolsFor(auth: Auth, request: RequestLine): Pools {
    if (this.#closed) {
      throw new TransportError(request, 'aborted', 'the transport is closed', { notSent: true });
    }
    if (this.#pools?.fingerprint === auth.fingerprint) return this.#pools;
    const old = this.#pools;
    const pool = (connections: number | null): Dispatcher => this.#pool(auth, connections);
    this.#pools = {
      fingerprint: auth.fingerprint,
      requests: pool(this.#options.connections ?? CONNECTIONS),
      watches: pool(null),
    };
    // The certificates have changed: requests in flight may finish on the old connections.
    if (old) for (const dispatcher of [old.requests, old.watches]) void dispatcher.close();
    return this.#pools;
  }

  /** `connections`: null for any number. */
  #pool(auth: Auth, connections: number | null): Dispatcher {
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
    const { server, proxy } = this.#options.credentials;
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
}

/**
 * Calls `check` when a request is written to its connection: it may have waited for one, or the process may have been paused, and the
 * lease that was held when it was sent may be lost. What `check` throws is the failure of the request.
 */
function whenWritten(check: () => void): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (...args) => {
        check();
        handler.onRequestStart?.(...args);
      },
      onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
      onResponseStart: (...args) => handler.onResponseStart?.(...args),
      onResponseData: (...args) => handler.onResponseData?.(...args),
      onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
      onResponseError: (...args) => handler.onResponseError?.(...args),
    });
}

function search(query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, String(value));
  return params.size > 0 ? `?${params.toString()}` : '';
}
