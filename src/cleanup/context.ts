/** The context of a run, and how it continues after errors. */
import type { Logger } from 'pino';
import type { Clock } from '../kube/clock/clock.ts';
import { affectsOneSession, StoppedError } from './failure.ts';
import type { CleanupReport } from './report.ts';

/** What all steps of a run work with. */
export interface Context {
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the run is to stop after the current deletion. */
  readonly stop: AbortSignal;
  readonly report: CleanupReport;
}

/** @throws StoppedError when the run is to stop. Called before each deletion. */
export function throwIfStopped({ stop }: Context): void {
  if (stop.aborted) throw new StoppedError();
}

/** Works on one session. An error that affects only this one is reported, and the run continues; any other is thrown. */
export async function attempt(what: string, { report }: Context, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!affectsOneSession(error)) throw error;
    report.failed(what, error);
  }
}
