/** What the fault proxy records of a request, and what it can do to one. */
import type { Agent } from 'node:https';
import type { ApiRequest } from './api-request.ts';
import type { WatchFault } from './watch-relay.ts';

/** One request as the proxy received it. */
export interface ProxiedRequest extends ApiRequest {
  /** Counted from 1, in order of arrival. */
  n: number;
  /** ms, `performance.now()`. */
  at: number;
  /** What the client got; absent if it got no response. */
  status?: number;
  /** What the API server answered, whether or not the client got it; absent if the request was not forwarded. */
  answered?: number;
  /** What a deletion was sent with. */
  deleteOptions?: string;
  /** The name of the object that was to be created. */
  created?: string;
  /** The client still waits for (the rest of) the response. */
  open: boolean;
  /** Lines of a watch that were passed on. */
  lines: number;
}

/** What several proxies may share, and who hears of writes. */
export interface FaultProxyOptions {
  /** Connections to the API server, which outlive the proxy. Default: its own. */
  readonly agent?: Agent;
  /** Called with the beginning of what the API server answers to a write, whether or not the client gets it. */
  readonly onWritten?: (request: ProxiedRequest, answer: string) => void;
}

/** Fields that must be equal, or a test of one's own. */
export type Match = Partial<Omit<ApiRequest, 'query'>> | ((request: ApiRequest) => boolean);

export type Fault =
  /** The connection breaks before the request reaches the API server. */
  | { kind: 'reset' }
  /** The API server does not get the request; the proxy responds. */
  | { kind: 'respond'; status: number; reason?: string; message?: string; retryAfterSeconds?: number }
  /** The API server executes it, and the client's connection breaks instead of a response. */
  | { kind: 'loseResponse' }
  /** There is no response. */
  | { kind: 'silence' }
  /** Something happens first, then the request is forwarded. */
  | { kind: 'first'; do: () => Promise<unknown> }
  /** A watch breaks after so many lines. */
  | { kind: 'breakWatch'; afterLines: number; how: WatchFault }
  /** A streamed list is answered as of an older resourceVersion, as by an API server that lags; it catches up at `releaseWatches`. */
  | { kind: 'stale'; resourceVersion: string }
  /**
   * The client dies: before the API server gets the request, at it (the API server executes it, and the response is lost) or after the
   * response. From then on nothing that the client sends is forwarded, and `onCrash` is called.
   */
  | { kind: 'crash'; when: 'before' | 'at' | 'after'; onCrash: () => void };

/** Whether a request is one of these. */
export function matches(match: Match, request: ApiRequest): boolean {
  if (typeof match === 'function') return match(request);
  return Object.entries(match).every(([field, value]) => request[field as keyof ApiRequest] === value);
}
