/** Sweeps a volume: removes what deletions leave on it, those through a server and our own. */
import { attempt, throwIfStopped, type Context } from './context.ts';
import { stubTime } from './stub.ts';
import { LOCKS, TRASH, type Volume } from './volume.ts';

/** Younger stubs are kept: their first turn may be about to start. */
const STUB_AGE_MS = 24 * 3_600_000;

export interface StubSweepOptions {
  readonly ttlMs: number;
  /** Whether the server, if one runs, has it in memory: a session without a turn may be loaded for days. */
  readonly isLoaded: (sessionId: string) => Promise<boolean>;
}

/** Finishes the deletions of killed runs, also a recent one: they were already decided. */
export async function emptyTrash(target: string, volume: Volume, context: Context): Promise<void> {
  const { report } = context;
  for (const sessionId of await volume.trash()) {
    throwIfStopped(context);
    const path = `${TRASH}/${sessionId}`;
    await attempt(`${target}: ${path}`, context, async () => {
      report.swept(target, path, await (report.dryRun ? volume.size(path) : volume.emptyTrash(sessionId)));
    });
  }
}

/**
 * Removes locks of sessions that are gone, of any age: a server takes a lock only while the session's directory exists, and releases it
 * shortly after that is gone (docs/adr/0015-sweep-asked-for-on-the-claim.md).
 */
export async function sweepLocks(target: string, volume: Volume, context: Context): Promise<void> {
  const { report } = context;
  for await (const sessionId of volume.orphanLocks()) {
    throwIfStopped(context);
    const path = `${LOCKS}/${sessionId}.lock`;
    await attempt(`${target}: ${path}`, context, async () => {
      if (!report.dryRun) await volume.deleteLock(sessionId);
      report.swept(target, path, 0);
    });
  }
}

/** Removes the directories of sessions that never had a turn. */
export async function sweepStubs(
  target: string,
  volume: Volume,
  { ttlMs, isLoaded }: StubSweepOptions,
  context: Context,
): Promise<void> {
  const { clock, report } = context;
  const isYoung = (time: number) => clock.now() - time <= Math.max(STUB_AGE_MS, ttlMs);
  for (const sessionId of await volume.directories()) {
    throwIfStopped(context);
    await attempt(`${target}: stub ${sessionId}`, context, async () => {
      const time = await stubTime(volume.path(sessionId));
      if (time === undefined || isYoung(time) || (await isLoaded(sessionId))) return;
      const bytes = await (report.dryRun ? volume.size(sessionId) : volume.delete(sessionId));
      if (bytes !== undefined) report.swept(target, sessionId, bytes);
    });
  }
}
