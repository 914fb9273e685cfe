/** What a process does on signals and on errors that nothing caught. */
import type { Logger } from 'pino';

/** Conventional exit code of a process that ended for an error. */
const EXIT_FAILURE = 1;

/**
 * An error that nobody caught leaves the process in a state nobody has thought of: it is logged, as one record like all
 * others, and the process ends so that the kubelet starts a fresh one. The lease expires by itself.
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

/** Aborts at the first SIGTERM or SIGINT; the second one ends the process at once. */
export function stopOnSignal(log: Logger): AbortSignal {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(EXIT_FAILURE);
    log.info({ signal }, 'stopping; once more to stop at once');
    stop.abort(new Error(`received ${signal}`));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return stop.signal;
}
