/** Deletes sessions on a volume whose server does not run. */
import { attempt, throwIfStopped, type Context } from './context.ts';
import { clockMarginFor, decide } from '../resources/ttl-rule.ts';
import { stubTime } from './stub.ts';
import { mayRemove } from '../resources/session-removal.ts';
import type { RequestedDeletion, TtlTask } from './model.ts';
import type { Volume } from './volume.ts';

/** Deletes sessions by the TTL rule, one at a time. */
export async function cleanUpVolume(target: string, volume: Volume, task: TtlTask, context: Context): Promise<void> {
  const { clock, report } = context;
  const rule = { ...task, marginMs: clockMarginFor('Volume', task.ttlMs) };
  for (const sessionId of await volume.directories()) {
    throwIfStopped(context);
    await attempt(`${target}: session ${sessionId}`, context, async () => {
      const session = await volume.session(sessionId);
      if (session === undefined) return;
      let decision = decide(session, rule, clock.now());
      // Locks are read only where they matter: that takes reading a directory for each session.
      if (decision.action === 'Delete') {
        decision = decide({ ...session, lockTime: await volume.lockTime(sessionId) }, rule, clock.now());
      }
      if (decision.action === 'Keep') report.kept();
      else await remove(target, volume, sessionId, decision.message, context);
    });
  }
}

/**
 * Deletes one session of any age, its lock and what an earlier run left of it, unless it has another owner. A missing session is no
 * error.
 */
export async function deleteOnVolume(
  target: string,
  volume: Volume,
  { sessionId, owner }: RequestedDeletion,
  context: Context,
): Promise<void> {
  const { report } = context;
  throwIfStopped(context);
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    if (!report.dryRun && (await volume.trash()).includes(sessionId)) await volume.emptyTrash(sessionId);
    const isSession = (await volume.session(sessionId)) !== undefined;
    if (isSession || (await stubTime(volume.path(sessionId))) !== undefined) {
      const stored = { servers: [target], owner: await volume.owner(sessionId) };
      const permission = mayRemove(stored, { kind: 'Session', owner }, target);
      if (!permission.allowed) return report.refused(target, sessionId, permission);
      await remove(target, volume, sessionId, 'its deletion was requested', context);
    } else if (await volume.isDirectory(sessionId)) {
      report.error(`${target}: directory ${sessionId} was not deleted: it has files that do not belong to a session`);
    } else {
      report.alreadyGone(target, sessionId);
    }
    if (!report.dryRun) await volume.deleteLock(sessionId);
  });
}

/** Removes what the deletion of a session through its server leaves on the volume, and what a killed run left of an earlier one. */
export async function removeRemains(
  target: string,
  volume: Volume,
  sessionId: string,
  context: Context,
): Promise<void> {
  if (context.report.dryRun) return;
  await attempt(`${target}: session ${sessionId}`, context, async () => {
    if ((await volume.trash()).includes(sessionId)) await volume.emptyTrash(sessionId);
    if ((await volume.session(sessionId)) === undefined) await volume.deleteLock(sessionId);
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
