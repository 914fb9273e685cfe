/** One run of the cleanup: every target in turn, even when others fail. */
import { Client, CopilotError } from '../copilot/index.ts';
import { systemClock } from '../kube/clock/clock.ts';
import type { CleanupResult } from '../resources/cleanup-result.ts';
import type { Policy } from '../resources/ttl-rule.ts';
import type { Context } from './context.ts';
import { fullMessage, OutOfTimeError, StoppedError } from './failure.ts';
import { cleanUpVolume, deleteOnVolume, removeRemains } from './on-volume.ts';
import { PoliciesError, readPolicies } from './policies.ts';
import type { CleanupOptions, DeleteTask, Target, TtlTask } from './model.ts';
import { emptyTrash, sweepLocks, sweepStubs } from './sweep.ts';
import { cleanUpServer, deleteOnServer, isLoaded } from './through-server.ts';
import { errorCode } from './file-tree.ts';
import { Volume } from './volume.ts';

const CONNECT = { timeoutMs: 10_000 };

type Task = TtlTask | DeleteTask | 'Sweep';

/** Resolves to the result, which includes the errors of servers, volumes and the policies file. */
export async function cleanUp(options: CleanupOptions, context: Context): Promise<CleanupResult> {
  const { report } = context;
  try {
    const task = await taskOf(options);
    for (const target of options.targets) await cleanUpTarget(target, task, options.token, context);
  } catch (error) {
    if (error instanceof StoppedError)
      report.error('the run was stopped by a signal; the next run continues where it stopped');
    else if (error instanceof OutOfTimeError)
      report.error('the run has taken as long as --stop-after allows; what is left was not tried');
    else if (error instanceof PoliciesError) report.error(error.message);
    else throw error;
  }
  return report.result();
}

async function taskOf({ task }: CleanupOptions): Promise<Task> {
  if (task === 'Sweep' || 'sessions' in task) return task;
  const policies = task.policiesFile === undefined ? new Map<string, Policy>() : await readPolicies(task.policiesFile);
  return { ttlMs: task.ttlMs, policies };
}

async function cleanUpTarget({ name, server, volume }: Target, task: Task, token: string, context: Context) {
  const mounted = volume === undefined ? undefined : new Volume(volume);
  let client: Client | undefined;
  try {
    if (server !== undefined) {
      client = new Client({ ...server, token, timers: systemClock });
      await client.open(CONNECT);
    }
    if (task === 'Sweep') await sweepVolume(name, mounted, context);
    else if ('sessions' in task) await deleteEach(name, task, client, mounted, context);
    else await cleanUpByAge(name, task, client, mounted, context);
  } catch (error) {
    if (!(error instanceof CopilotError) && errorCode(error) === undefined) throw error;
    context.report.failed(name, error);
  } finally {
    client?.close();
  }
  if (mounted !== undefined) await measureVolume(name, mounted, context);
}

/** A failure here does not fail the run: a problem of the volume has failed the deletions too. */
async function measureVolume(name: string, volume: Volume, { report, log }: Context): Promise<void> {
  try {
    report.measured({ name, ...(await volume.usage()) });
  } catch (error) {
    log.warn({ target: name, reason: fullMessage(error) }, 'failed to measure how full the volume is');
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
  client: Client | undefined,
  volume: Volume | undefined,
  context: Context,
): Promise<void> {
  if (volume !== undefined) await emptyTrash(name, volume, context);
  if (client !== undefined) await cleanUpServer(name, client, task, context);
  else if (volume !== undefined) await cleanUpVolume(name, volume, task, context);
  if (volume === undefined) return;
  // Without a server nothing is loaded.
  const loaded = async (id: string) => client !== undefined && (await isLoaded(client, id));
  await sweepLocks(name, volume, context);
  await sweepStubs(name, volume, { ttlMs: task.ttlMs, isLoaded: loaded }, context);
}

async function deleteEach(
  name: string,
  { sessions, maxMs }: DeleteTask,
  client: Client | undefined,
  volume: Volume | undefined,
  context: Context,
): Promise<void> {
  const { clock, report } = context;
  const end = clock.monotonic() + (maxMs ?? Infinity);
  for (const session of sessions) {
    if (clock.monotonic() > end) throw new OutOfTimeError();
    await report.outcomeOf(session.sessionId, async () => {
      if (client === undefined) {
        if (volume !== undefined) await deleteOnVolume(name, volume, session, context);
        return;
      }
      await deleteOnServer(name, client, session, context);
      if (volume !== undefined) await removeRemains(name, volume, session.sessionId, context);
    });
  }
}
