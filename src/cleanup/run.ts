/** One run of the cleanup: every target in turn, whatever happens to the others. */
import { Client, CopilotError } from '../copilot/index.ts';
import { systemClock } from '../kube/clock/clock.ts';
import type { CleanupResult } from '../resources/cleanup-result.ts';
import type { Context } from './context.ts';
import { fullMessage, StoppedError } from './failure.ts';
import { cleanUpVolume, deleteOnVolume } from './on-volume.ts';
import { PoliciesError, readPolicies } from './policies.ts';
import type { CleanupOptions, Policy, Target, TtlTask } from './model.ts';
import { emptyTrash, sweepLocks, sweepStubs } from './sweep.ts';
import { cleanUpServer, deleteOnServer, isLoaded } from './through-server.ts';
import { errorCode } from './file-tree.ts';
import { Volume } from './volume.ts';

const CONNECT = { timeoutMs: 10_000 };

type Task = TtlTask | { readonly sessionId: string } | 'Sweep';

/** Resolves to what came of it; errors of servers, volumes and the policies file are in the result. */
export async function cleanUp(options: CleanupOptions, context: Context): Promise<CleanupResult> {
  const { report } = context;
  try {
    const task = await taskOf(options);
    for (const target of options.targets) await cleanUpTarget(target, task, options.token, context);
  } catch (error) {
    if (error instanceof StoppedError)
      report.error('the run was stopped by a signal; the next run goes on where it ended');
    else if (error instanceof PoliciesError) report.error(error.message);
    else throw error;
  }
  return report.result();
}

async function taskOf({ task }: CleanupOptions): Promise<Task> {
  if (task === 'Sweep' || 'sessionId' in task) return task;
  const policies = task.policiesFile === undefined ? new Map<string, Policy>() : await readPolicies(task.policiesFile);
  return { ttlMs: task.ttlMs, policies };
}

async function cleanUpTarget({ name, server, volume }: Target, task: Task, token: string, context: Context) {
  const mounted = volume === undefined ? undefined : new Volume(volume);
  let connection: Client | undefined;
  try {
    if (server !== undefined) {
      connection = new Client({ ...server, token, timers: systemClock });
      await connection.open(CONNECT);
    }
    if (task === 'Sweep') await sweepVolume(name, mounted, context);
    else if ('sessionId' in task) await deleteOne(name, task.sessionId, connection, mounted, context);
    else await cleanUpByAge(name, task, connection, mounted, context);
  } catch (error) {
    if (!(error instanceof CopilotError) && errorCode(error) === undefined) throw error;
    context.report.failed(name, error);
  } finally {
    connection?.close();
  }
  if (mounted !== undefined) await measureVolume(name, mounted, context);
}

/** Without it the run has still done what it was to do; whatever is wrong with the volume has failed that as well. */
async function measureVolume(name: string, volume: Volume, { report, log }: Context): Promise<void> {
  try {
    report.measured({ name, ...(await volume.usage()) });
  } catch (error) {
    log.warn({ target: name, reason: fullMessage(error) }, 'how full the volume is can not be seen');
  }
}

async function sweepVolume(name: string, volume: Volume | undefined, context: Context): Promise<void> {
  if (volume === undefined) return;
  await emptyTrash(name, volume, context);
  await sweepLocks(name, volume, context);
}

async function cleanUpByAge(
  name: string,
  task: TtlTask,
  connection: Client | undefined,
  volume: Volume | undefined,
  context: Context,
): Promise<void> {
  if (volume !== undefined) await emptyTrash(name, volume, context);
  if (connection !== undefined) await cleanUpServer(name, connection, task, context);
  else if (volume !== undefined) await cleanUpVolume(name, volume, task, context);
  if (volume === undefined) return;
  // Without a server nothing is loaded.
  const loaded = async (id: string) => connection !== undefined && (await isLoaded(connection, id));
  await sweepLocks(name, volume, context);
  await sweepStubs(name, volume, { ttlMs: task.ttlMs, isLoaded: loaded }, context);
}

async function deleteOne(
  name: string,
  sessionId: string,
  connection: Client | undefined,
  volume: Volume | undefined,
  context: Context,
): Promise<void> {
  if (connection !== undefined) await deleteOnServer(name, connection, sessionId, context);
  else if (volume !== undefined) await deleteOnVolume(name, volume, sessionId, context);
  if (volume === undefined || context.report.dryRun) return;
  if ((await volume.trash()).includes(sessionId)) await volume.emptyTrash(sessionId);
  await volume.deleteLock(sessionId);
}
