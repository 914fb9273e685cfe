import type { Logger } from 'pino';
import type { Clock } from '../kube/clock/clock.ts';
import { concernsOne, StoppedError } from './failure.ts';
import type { Tally } from './report.ts';

/** What all steps of a run need. */
export interface Context {
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the run is to end after the deletion that it is at. */
  readonly stop: AbortSignal;
  readonly tally: Tally;
}

/** @throws StoppedError when the run is to end. Called before each deletion. */
export function checkStop({ stop }: Context): void {
  if (stop.aborted) throw new StoppedError();
}

/** Works on one session. What goes wrong with it is counted, and the run goes on; what would go wrong with the next one too is thrown. */
export async function attempt(what: string, { tally }: Context, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!concernsOne(error)) throw error;
    tally.failed(what, error);
  }
}
