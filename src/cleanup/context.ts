import type { Logger } from 'pino';
import type { Clock } from '../kube/clock/clock.ts';
import { affectsOneSession, StoppedError } from './failure.ts';
import type { CleanupReport } from './report.ts';

/** What all steps of a run need. */
export interface Context {
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the run is to end after the deletion that it is at. */
  readonly stop: AbortSignal;
  readonly report: CleanupReport;
}

/** @throws StoppedError when the run is to end. Called before each deletion. */
export function throwIfStopped({ stop }: Context): void {
  if (stop.aborted) throw new StoppedError();
}

/** Works on one session. What goes wrong with it is counted, and the run goes on; what would go wrong with the next one too is thrown. */
export async function attempt(what: string, { report }: Context, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!affectsOneSession(error)) throw error;
    report.failed(what, error);
  }
}
