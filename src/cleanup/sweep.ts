/** Sweeping a volume: what deletions leave behind, a server's and our own. */
import { attempt, checkStop, type Context } from './context.ts';
import { stubTime } from './stub.ts';
import { LOCKS, TRASH, type Volume } from './volume.ts';

/** Younger leftovers are left alone: a client may just be creating a session of that id. */
const LEFTOVER_AGE_MS = 24 * 3_600_000;

export interface SweepOptions {
  readonly ttlMs: number;
  /** Asks the server, if one runs: a session without a turn may be loaded for days. */
  readonly isLoaded: (sessionId: string) => Promise<boolean>;
}

/** Finishes deletions that a killed run began, also one that began a moment ago: these sessions had been judged already. */
export async function emptyTrash(target: string, volume: Volume, context: Context): Promise<void> {
  const { tally } = context;
  for (const sessionId of await volume.trash()) {
    checkStop(context);
    const path = `${TRASH}/${sessionId}`;
    await attempt(`${target}: ${path}`, context, async () => {
      tally.swept(target, path, await (tally.dryRun ? volume.size(path) : volume.emptyTrash(sessionId)));
    });
  }
}

/** Removes locks of sessions that are gone, and stubs of sessions that never had a turn. */
export async function sweep(
  target: string,
  volume: Volume,
  { ttlMs, isLoaded }: SweepOptions,
  context: Context,
): Promise<void> {
  const { clock, tally } = context;
  const isOld = (time: number, age: number) => clock.now() - time > age;
  for (const { sessionId, modifiedTime } of await volume.orphanLocks()) {
    checkStop(context);
    if (!isOld(modifiedTime, LEFTOVER_AGE_MS)) continue;
    const path = `${LOCKS}/${sessionId}.lock`;
    await attempt(`${target}: ${path}`, context, async () => {
      if (!tally.dryRun) await volume.deleteLock(sessionId);
      tally.swept(target, path, 0);
    });
  }
  for (const sessionId of await volume.directories()) {
    checkStop(context);
    await attempt(`${target}: stub ${sessionId}`, context, async () => {
      const time = await stubTime(volume.path(sessionId));
      if (time === undefined || !isOld(time, Math.max(LEFTOVER_AGE_MS, ttlMs)) || (await isLoaded(sessionId))) return;
      const bytes = await (tally.dryRun ? volume.size(sessionId) : volume.delete(sessionId));
      if (bytes !== undefined) tally.swept(target, sessionId, bytes);
    });
  }
}
