/** Where results are kept. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { merged, type BenchResult } from './result.ts';

const FILE = join(import.meta.dirname, '../RESULTS.md');

/** Puts a result into bench/RESULTS.md, in place of the previous one of its name, with the commit and the machine. */
export function record(result: BenchResult): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}`;
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  const where = `Measured at ${commit} on: ${machine}, Linux ${kernel}, Kubernetes 1.36.3.`;
  writeFileSync(FILE, merged(existsSync(FILE) ? readFileSync(FILE, 'utf8') : '', [result], where));
}
