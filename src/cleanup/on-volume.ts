/** Deleting sessions on a volume whose server does not run. */
import { attempt, throwIfStopped, type Context } from './context.ts';
import { decide, clockMarginFor } from './ttl-rule.ts';
import { stubTime } from './stub.ts';
import type { TtlTask } from './model.ts';
import type { Volume } from './volume.ts';

/** Deletes what the TTL rule says, one session at a time. */
export async function cleanUpVolume(target: string, volume: Volume, task: TtlTask, context: Context): Promise<void> {
  const { clock, report } = context;
  const rule = { ...task, marginMs: clockMarginFor('Volume', task.ttlMs) };
  for (const sessionId of await volume.directories()) {
    throwIfStopped(context);
    await attempt(`${target}: session ${sessionId}`, context, async () => {
      const session = await volume.session(sessionId);
      if (session === undefined) return;
      let decision = decide(session, rule, clock.now());
      // Locks are looked for only where they matter: it is a directory to read for each session.
      if (decision.action === 'Delete') {
        decision = decide({ ...session, lockTime: await volume.lockTime(sessionId) }, rule, clock.now());
      }
      if (decision.action === 'Keep') report.kept();
      else await remove(target, volume, sessionId, decision.message, context);
    });
  }
}

/** Deletes one session whatever its age, and what is left of it. Not there is fine. */
export async function deleteOnVolume(
  target: string,
  volume: Volume,
  sessionId: string,
  context: Context,
): Promise<void> {
  const { report } = context;
  throwIfStopped(context);
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    const isSession = (await volume.session(sessionId)) !== undefined;
    if (isSession || (await stubTime(volume.path(sessionId))) !== undefined) {
      await remove(target, volume, sessionId, 'it was asked for', context);
    } else if (await volume.isDirectory(sessionId)) {
      report.error(`${target}: the directory ${sessionId} holds files that are none of a session; it was left alone`);
    } else {
      report.alreadyGone(target, sessionId);
    }
    if (!report.dryRun) await volume.deleteLock(sessionId);
  });
}

async function remove(
  target: string,
  volume: Volume,
  sessionId: string,
  message: string,
  { report }: Context,
): Promise<void> {
  const bytes = await (report.dryRun ? volume.size(sessionId) : volume.delete(sessionId));
  if (bytes === undefined) report.alreadyGone(target, sessionId);
  else report.deleted({ target, sessionId, bytes, message });
}
