/** Signals and uncaught errors of the process. */
import type { Logger } from 'pino';

/** The usual exit code for an error. */
const EXIT_FAILURE = 1;

/**
 * After an uncaught error the state of the process is undefined: the error is logged, as one record like all others, and the
 * process exits, so that the kubelet starts a new one. The lease then expires.
 */
export function exitOnCrash(log: Logger): void {
  const crash = (what: string) => (error: unknown) => {
    log.fatal({ err: error instanceof Error ? error : new Error(`thrown: ${String(error)}`) }, what);
    log.flush();
    process.exit(EXIT_FAILURE);
  };
  process.on('uncaughtException', crash('uncaught exception'));
  process.on('unhandledRejection', crash('unhandled rejection'));
}

/** Aborts at the first SIGTERM or SIGINT; a second one exits at once. */
export function stopOnSignal(log: Logger): AbortSignal {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(EXIT_FAILURE);
    log.info({ signal }, 'stopping; send the signal again to exit at once');
    stop.abort(new Error(`received ${signal}`));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return stop.signal;
}
