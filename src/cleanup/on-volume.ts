/** Deleting sessions on a volume whose server does not run. */
import { attempt, checkStop, type Context } from './context.ts';
import { judge, safetyMargin } from './ttl-rule.ts';
import { stubTime } from './stub.ts';
import type { TtlTask } from './model.ts';
import type { Volume } from './volume.ts';

/** Deletes what the TTL rule says, one session at a time. */
export async function cleanUpVolume(target: string, volume: Volume, task: TtlTask, context: Context): Promise<void> {
  const { clock, tally } = context;
  const rule = { ...task, marginMs: safetyMargin('Own', task.ttlMs) };
  for (const sessionId of await volume.directories()) {
    checkStop(context);
    await attempt(`${target}: session ${sessionId}`, context, async () => {
      const session = await volume.session(sessionId);
      if (session === undefined) return;
      let verdict = judge(session, rule, clock.now());
      // Locks are looked for only where they matter: it is a directory to read for each session.
      if (verdict.verdict === 'Delete') {
        verdict = judge({ ...session, lockTime: await volume.lockTime(sessionId) }, rule, clock.now());
      }
      if (verdict.verdict === 'Keep') tally.kept();
      else await remove(target, volume, sessionId, verdict.message, context);
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
  const { tally } = context;
  checkStop(context);
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    const isSession = (await volume.session(sessionId)) !== undefined;
    if (isSession || (await stubTime(volume.path(sessionId))) !== undefined) {
      await remove(target, volume, sessionId, 'it was asked for', context);
    } else if (await volume.isDirectory(sessionId)) {
      tally.error(`${target}: the directory ${sessionId} holds files that are none of a session; it was left alone`);
    } else {
      tally.gone(target, sessionId);
    }
    if (!tally.dryRun) await volume.deleteLock(sessionId);
  });
}

async function remove(
  target: string,
  volume: Volume,
  sessionId: string,
  message: string,
  { tally }: Context,
): Promise<void> {
  const bytes = await (tally.dryRun ? volume.size(sessionId) : volume.delete(sessionId));
  if (bytes === undefined) tally.gone(target, sessionId);
  else tally.deleted({ target, sessionId, bytes, message });
}
