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
export interface SessionEnd {
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
  doubts: number;
}

export interface NextStep {
  action: 'resume' | 'relist';
  /** How the next list is made: `pages` after a streamed one was refused or got stuck. */
  list: 'stream' | 'pages';
  /** Wait for the back-off before it. */
  backOff: boolean;
  /** Counts towards `doubts`: whether the position we resume from makes sense to the server is in doubt. */
  doubt: boolean;
  reason:
    | 'WatchEnded'
    | 'ShortWatch'
    | 'Silent'
    | 'Expired'
    | 'StreamedListRefused'
    | 'Garbage'
    | 'ConnectionLost'
    | 'Throttled'
    | 'Forbidden'
    | 'ResourceMissing'
    | 'ServerError';
  message: string;
}

/**
 * A session that lived this long was a healthy one: the back-off starts from the beginning again, and there is none when the server
 * ended it. Shorter ones wait whatever they brought: a server that sends one bookmark and closes would be asked without pause.
 */
export const HEALTHY_SESSION_MS = 10_000;

/**
 * What to do after a session. The rule: resume from the last version whenever nothing can have been missed, because a list costs the
 * server much more; list again when the position is gone, or when resuming from it brought nothing twice in a row.
 */
export function nextStep(end: SessionEnd): NextStep {
  const step = classify(end);
  const doubts = end.events > 0 ? 0 : end.doubts;
  const listAgain = !end.listed || (step.doubt && doubts > 0);
  return listAgain ? { ...step, action: 'relist' } : step;
}

function classify({ error, events, durationMs, listed, streamedList }: SessionEnd): NextStep {
  const resume = { action: 'resume', list: 'stream', backOff: true, doubt: false } as const;
  const relist = { ...resume, action: 'relist' } as const;
  if (error === undefined) {
    const doubt = events === 0;
    if (durationMs >= HEALTHY_SESSION_MS) {
      return { ...resume, doubt, backOff: false, reason: 'WatchEnded', message: 'the server ended the watch' };
    }
    return { ...resume, doubt, reason: 'ShortWatch', message: `the server ended the watch after ${durationMs} ms` };
  }
  const { message } = error;
  if (error instanceof SilentWatchError) {
    // A server that ignores sendInitialEvents never sends the end of the list: pages always end.
    const list = streamedList && !listed ? 'pages' : 'stream';
    return { ...resume, list, doubt: true, reason: 'Silent', message };
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
    return { ...resume, doubt: true, reason: 'ServerError', message };
  }
  if (error instanceof TransportError && error.failure === 'protocol') return { ...relist, reason: 'Garbage', message };
  return { ...resume, reason: 'ConnectionLost', message };
}
