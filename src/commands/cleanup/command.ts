/** The command `cleanup`: one run, its log, its result and its exit code. */
import { writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import { systemClock } from '../../kube/clock/clock.ts';
import { exitOnCrash, stopOnSignal } from '../../kube/runtime/process.ts';
import { formatCleanupResult } from '../../resources/cleanup-result.ts';
import type { CleanupOptions } from '../../cleanup/model.ts';
import { cleanUp } from '../../cleanup/run.ts';
import { CleanupReport } from '../../cleanup/report.ts';

/** Resolves to the exit code: 0 succeeded, 1 failed. */
export async function runCleanup(options: CleanupOptions): Promise<number> {
  const log = pino();
  exitOnCrash(log);
  const stop = stopOnSignal(log);
  const report = new CleanupReport(options.dryRun, log);
  const result = await cleanUp(options, { clock: systemClock, log, stop, report });
  log.info(JSON.parse(formatCleanupResult(result)) as object, 'finished');
  if (options.resultFile !== undefined) {
    try {
      await writeFile(options.resultFile, formatCleanupResult(result));
    } catch (error) {
      log.error({ err: error }, 'failed to write the result file');
      return 1;
    }
  }
  return result.result === 'Succeeded' ? 0 : 1;
}
