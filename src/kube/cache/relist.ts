/**
 * What a reflector does after a list or watch has ended: resume the watch or list again, at once or after a back-off.
 */
import {
  isBadRequest,
  isForbidden,
  isGone,
  isInvalid,
  isNotFound,
  StatusError,
  TransportError,
} from '../types/errors.ts';

/** The watch was open but silent, although the server sends a bookmark about every minute. */
export class SilentWatchError extends Error {
  override readonly name = 'SilentWatchError';
}

/**
 * The server has older data than we have seen: etcd was restored from a backup. A server that lags behind never causes it, because only
 * consistent reads are compared, which are at least as new as everything that was read before.
 */
export class RestoredError extends Error {
  override readonly name = 'RestoredError';

  constructor(what: string, seen: string, found: string) {
    super(
      `${what}: the API server is at resource version ${found}, and was at ${seen} before: its data were restored from a backup`,
    );
  }
}

/** How one list-and-watch of a reflector, or one resumed watch, ended. */
export interface ListWatchResult {
  /** Absent if the server ended the watch regularly. */
  error?: Error | undefined;
  /** Events and bookmarks that it received. */
  events: number;
  durationMs: number;
  /** Whether a list is complete, so that a watch can be resumed. */
  listed: boolean;
  /** Whether the list was requested as a stream (sendInitialEvents). */
  streamedList: boolean;
  /** Results in a row before this one that were suspicious. */
  suspicions: number;
}

/** Why a list or watch ended; a label of metrics. `WatchEnded` is the usual reason. */
export const RELIST_REASONS = [
  'WatchEnded',
  'ShortWatch',
  'Silent',
  'Expired',
  'Restored',
  'StreamedListRefused',
  'Garbage',
  'ConnectionLost',
  'Throttled',
  'Forbidden',
  'ResourceMissing',
  'ServerError',
] as const;
export type RelistReason = (typeof RELIST_REASONS)[number];

/** How the reflector goes on. */
export interface RelistDecision {
  action: 'resume' | 'relist';
  /** How to list next: in `pages` after a streamed list was refused or got stuck. */
  list: 'stream' | 'pages';
  /** Whether to wait for the back-off first. */
  backOff: boolean;
  /** The server responded but sent no event: perhaps it does not know our resourceVersion. */
  suspicious: boolean;
  reason: RelistReason;
  message: string;
}

/**
 * A watch that lasted this long was healthy: the back-off is reset, and there is none if the server ended the watch. After a shorter
 * one there is, whatever it received: a server that sends one bookmark and closes would be called without a pause.
 */
export const HEALTHY_WATCH_MS = 10_000;

/**
 * What to do after a list or watch. The rule: resume from the last resourceVersion whenever nothing can have been missed, because a
 * list costs the server much more; list again if that version is too old, or if resuming from it was suspicious twice in a row.
 */
export function decideRelist(end: ListWatchResult): RelistDecision {
  const decision = classify(end);
  const suspicions = end.events > 0 ? 0 : end.suspicions;
  const listAgain = !end.listed || (decision.suspicious && suspicions > 0);
  return listAgain ? { ...decision, action: 'relist' } : decision;
}

function classify({ error, events, durationMs, listed, streamedList }: ListWatchResult): RelistDecision {
  const resume = { action: 'resume', list: 'stream', backOff: true, suspicious: false } as const;
  const relist = { ...resume, action: 'relist' } as const;
  if (error === undefined) {
    const suspicious = events === 0;
    if (durationMs >= HEALTHY_WATCH_MS) {
      return { ...resume, suspicious, backOff: false, reason: 'WatchEnded', message: 'the server ended the watch' };
    }
    return {
      ...resume,
      suspicious,
      reason: 'ShortWatch',
      message: `the server ended the watch after ${durationMs} ms`,
    };
  }
  const { message } = error;
  if (error instanceof SilentWatchError) {
    // A server that ignores sendInitialEvents never sends the bookmark that ends the list; pages do end.
    const list = streamedList && !listed ? 'pages' : 'stream';
    return { ...resume, list, suspicious: true, reason: 'Silent', message };
  }
  if (error instanceof RestoredError) return { ...relist, backOff: false, reason: 'Restored', message };
  if (error instanceof StatusError) {
    if (isGone(error)) return { ...relist, reason: 'Expired', message };
    if (streamedList && (isInvalid(error) || isBadRequest(error))) {
      return { ...relist, list: 'pages', backOff: false, reason: 'StreamedListRefused', message };
    }
    // The resource is not served (any more): what was listed is of a definition that was deleted.
    if (isNotFound(error)) return { ...relist, reason: 'ResourceMissing', message };
    // Overload and missing permissions do not mean that our resourceVersion is wrong, and a list would make an overload worse.
    if (isForbidden(error)) return { ...resume, reason: 'Forbidden', message };
    if ([401, 429, 503].includes(error.code)) return { ...resume, reason: 'Throttled', message };
    return { ...resume, suspicious: true, reason: 'ServerError', message };
  }
  if (error instanceof TransportError && error.failure === 'protocol') return { ...relist, reason: 'Garbage', message };
  return { ...resume, reason: 'ConnectionLost', message };
}
