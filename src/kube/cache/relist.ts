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

/** The watch was open, but nothing came although the server sends a bookmark about every minute. */
export class SilentWatchError extends Error {
  override readonly name = 'SilentWatchError';
}

/** How one session of a reflector (a list and its watch, or a resumed watch) ended. */
export interface ListWatchResult {
  /** Absent when the server ended the watch in order. */
  error?: Error | undefined;
  /** Events and bookmarks of this session. */
  events: number;
  durationMs: number;
  /** Whether everything has been listed, so that a watch can be resumed. */
  listed: boolean;
  /** Whether this session asked for the list as a stream (sendInitialEvents). */
  streamedList: boolean;
  /** Sessions in a row before this one that got an answer from the server but no event out of it. */
  suspicions: number;
}

/** Why a list or watch ended; a label of metrics. `WatchEnded` is the usual reason. */
export const RELIST_REASONS = [
  'WatchEnded',
  'ShortWatch',
  'Silent',
  'Expired',
  'StreamedListRefused',
  'Garbage',
  'ConnectionLost',
  'Throttled',
  'Forbidden',
  'ResourceMissing',
  'ServerError',
] as const;
export type RelistReason = (typeof RELIST_REASONS)[number];

export interface RelistDecision {
  action: 'resume' | 'relist';
  /** How the next list is made: `pages` after a streamed one was refused or got stuck. */
  list: 'stream' | 'pages';
  /** Wait for the back-off before it. */
  backOff: boolean;
  /** Counts towards `suspicions`: whether the position we resume from makes sense to the server is in doubt. */
  suspicious: boolean;
  reason: RelistReason;
  message: string;
}

/**
 * A session that lived this long was a healthy one: the back-off starts from the beginning again, and there is none when the server
 * ended it. Shorter ones wait whatever they brought: a server that sends one bookmark and closes would be asked without pause.
 */
export const HEALTHY_WATCH_MS = 10_000;

/**
 * What to do after a session. The rule: resume from the last version whenever nothing can have been missed, because a list costs the
 * server much more; list again when the position is gone, or when resuming from it brought nothing twice in a row.
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
    // A server that ignores sendInitialEvents never sends the end of the list: pages always end.
    const list = streamedList && !listed ? 'pages' : 'stream';
    return { ...resume, list, suspicious: true, reason: 'Silent', message };
  }
  if (error instanceof StatusError) {
    if (isGone(error)) return { ...relist, reason: 'Expired', message };
    if (streamedList && (isInvalid(error) || isBadRequest(error))) {
      return { ...relist, list: 'pages', backOff: false, reason: 'StreamedListRefused', message };
    }
    // The resource is not served (any more): what was listed belongs to a definition that is gone.
    if (isNotFound(error)) return { ...relist, reason: 'ResourceMissing', message };
    // Overload and refusal say nothing about our position, and a list would make an overload worse.
    if (isForbidden(error)) return { ...resume, reason: 'Forbidden', message };
    if ([401, 429, 503].includes(error.code)) return { ...resume, reason: 'Throttled', message };
    return { ...resume, suspicious: true, reason: 'ServerError', message };
  }
  if (error instanceof TransportError && error.failure === 'protocol') return { ...relist, reason: 'Garbage', message };
  return { ...resume, reason: 'ConnectionLost', message };
}
