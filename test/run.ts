// Runs the levels of the test suite one after the other and closes with one line over all of them.
// A level that executes no test fails: a suite that silently runs nothing must not look green.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { failedIn, failureOf, passedIn, slowestOf, type FileResult, type Report } from './jest-report.ts';

interface Tally {
  passed: number;
  failed: number;
  /** Each file with a failure, with its first one: repeated at the end, where a log that was cut still has them. */
  failures: string[];
  /** The same of files that passed when they ran again. */
  again: string[];
}

/** Levels of which files run again, and how many at most: of many the machine is not the cause. */
const REPEATED = ['integration', 'e2e', 'upgrades'];
const MOST_AGAIN = 5;

const root = resolve(import.meta.dirname, '..');
const cluster = join(root, '.cluster');
const currentContext = process.env['CLUSTER'] === 'current';

/** Each static check counts as one test, so that the closing line covers everything that can fail. */
const checks: Record<string, string[]> = {
  types: ['npx', 'tsc', '--noEmit'],
  lint: ['npx', 'oxlint', '--type-aware', '--deny-warnings'],
  format: ['npx', 'prettier', '--check', '--log-level', 'warn', '.'],
  generated: ['node', 'scripts/generate.ts', '--check'],
  shell: ['scripts/check-shell.sh'],
};

function run(command: string[], env: NodeJS.ProcessEnv = {}): boolean {
  const [program = '', ...args] = command;
  const result = spawnSync(program, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  if (result.error) console.error(`${program}: ${result.error.message}`);
  return result.status === 0;
}

function runChecks(): Tally {
  const tally: Tally = { passed: 0, failed: 0, failures: [], again: [] };
  for (const [name, command] of Object.entries(checks)) {
    const passed = run(command);
    console.log(`${passed ? 'ok    ' : 'FAILED'} check: ${name}`);
    tally[passed ? 'passed' : 'failed'] += 1;
    if (!passed) tally.failures.push(`check: ${name}`);
  }
  return tally;
}

/**
 * End-to-end tests that change what the whole cluster shares, such as CRDs, images and APIs, or need most of its node's CPU, as all
 * samples at once and many tenants do: nothing runs beside them.
 */
const ALONE =
  'test/e2e/(demo|images|gateway/(many-asleep|node-drain)|gitops/no-diff|install/(install|replicas|rights|samples|upgrade|waiting-samples)|tenant/autoscaled)';

/** What reaches into the local cluster: its audit log, processes and mounts of its node, which is this machine, and an API that another one may have. */
const REACHES_IN = /support\/(audit|metrics-adapter|node-process|processes|small-disk)\.ts'/;

/** Test files of a level that another cluster can't run. */
function localOnly(level: string): string[] {
  const files = readdirSync(join(root, 'test', level), { recursive: true, encoding: 'utf8' });
  const tests = files.filter((file) => file.endsWith('.test.ts')).map((file) => `test/${level}/${file}`);
  return tests.filter((file) => REACHES_IN.test(readFileSync(join(root, file), 'utf8'))).toSorted();
}

/** Levels that need nothing of the cluster. From its network no package index is reached, which the kills need. */
const WITHOUT_CLUSTER = ['unit', 'kills'];

/** Arguments of Jest for the parts of a level, which run one after the other. */
function partsOf(level: string): string[][] {
  const parts: Record<string, string[][]> = {
    unit: [[]],
    // Two at a time: they start API servers of their own.
    integration: [['--maxWorkers=2']],
    // Three at a time where each file has a namespace and an operator of its own: they wait more than they work.
    e2e: [
      ['--maxWorkers=3', '--testPathIgnorePatterns', ALONE],
      ['--runInBand', '--testPathPatterns', ALONE],
    ],
  };
  const args = parts[level] ?? [['--runInBand']];
  if (!currentContext || level !== 'e2e') return args;
  const left = localOnly(level);
  const why = 'only the local cluster lets one read its audit log, reach into its node and register metrics';
  console.log(`left out, because ${why}: ${left.join(', ')}`);
  return args.map((part) => [...part, ...left.flatMap((file) => ['--testPathIgnorePatterns', file])]);
}

/** Integration and e2e tests speak to addresses that exist only inside the cluster's network. */
function jest(level: string, args: readonly string[]): string[] {
  const program = ['node', '--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const command = [...program, 'node_modules/jest/bin/jest.js', '--selectProjects', level, ...args];
  if (WITHOUT_CLUSTER.includes(level) || currentContext) return command;
  if (!existsSync(join(cluster, 'kubeconfig')))
    throw new Error(`${level} tests need the local cluster: run 'make cluster' first`);
  return [join(cluster, 'bin/enter'), ...command];
}

function runLevel(level: string): Tally {
  // With CLUSTER=current what kubectl would take, for those who read the file themselves.
  const own = process.env['KUBECONFIG'] ?? join(homedir(), '.kube/config');
  const kubeconfig = currentContext ? own : join(cluster, 'kubeconfig');
  const env = level === 'unit' ? {} : { KUBECONFIG: kubeconfig };
  const tallies = partsOf(level).map((args) => runPart(level, args, env));
  return {
    passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
    failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
    failures: tallies.flatMap(({ failures }) => failures),
    again: tallies.flatMap(({ again }) => again),
  };
}

/** Runs a command of Jest, and returns what it reports, unless it ended without. */
function reportOf(command: string[], env: NodeJS.ProcessEnv): Report | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'copilot-operator-test-'));
  const report = join(dir, 'report.json');
  try {
    const succeeded = run([...command, '--json', `--outputFile=${report}`], env);
    if (!existsSync(report)) return undefined;
    const { success, testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
    return { success: success && succeeded, testResults };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * Files that failed beside others, run again by themselves: a busy machine makes real servers late. What fails twice has failed, and
 * what passed only now is named at the end (docs/adr/0060-a-second-run.md).
 */
function runAgain(failed: readonly FileResult[], level: string, env: NodeJS.ProcessEnv): Report | undefined {
  console.log(`files that failed, and run again by themselves: ${failed.length}`);
  const files = failed.map(({ name }) => name);
  return reportOf(jest(level, ['--runInBand', '--runTestsByPath', ...files]), env);
}

function runPart(level: string, args: readonly string[], env: NodeJS.ProcessEnv): Tally {
  const words = [level, ...args].join(' ');
  const first = reportOf(jest(level, args), env);
  if (first === undefined) return { passed: 0, failed: 1, failures: [`${words}: ended without a report`], again: [] };
  const slowest = slowestOf(first, root);
  if (slowest !== undefined) console.log(`slowest: ${slowest}`);
  const failed = first.testResults.filter((file) => failedIn(file) > 0);
  const mayBeBusy = REPEATED.includes(level) && failed.length > 0 && failed.length <= MOST_AGAIN;
  const second = (mayBeBusy && runAgain(failed, level, env)) || { success: false, testResults: [] };
  const repeated = new Map(second.testResults.map((file) => [file.name, file]));
  const results = first.testResults.map((file) => repeated.get(file.name) ?? file);
  const sum = (of: (file: FileResult) => number) => results.reduce((total, file) => total + of(file), 0);
  const tally = {
    passed: sum(passedIn),
    failed: sum(failedIn),
    failures: results.filter((file) => failedIn(file) > 0).map((file) => failureOf(file, root)),
    again: failed
      .filter((file) => failedIn(repeated.get(file.name) ?? file) === 0)
      .map((file) => failureOf(file, root)),
  };
  if (tally.failed > 0) return tally;
  const succeeded = failed.length > 0 ? second.success : first.success;
  if (tally.passed > 0 && succeeded) return tally;
  const why = tally.passed === 0 ? 'ran no test' : 'failed outside of its tests';
  return { ...tally, failed: 1, failures: [`${words}: ${why}`] };
}

/** `faults` and `upgrades` run a few here, and all by `make test-faults` and `make test-upgrades`. `kills` are random: by `make test-kills` only. */
const usual = ['checks', 'unit', 'integration', 'faults', 'e2e', 'upgrades'];
/** `argocd` has a target of its own, `make test-argocd`: it takes minutes to build what it needs. */
const known = [...usual, 'kills', 'argocd'];
const levels = process.argv.slice(2).length > 0 ? process.argv.slice(2) : usual;
const total: Tally = { passed: 0, failed: 0, failures: [], again: [] };
const summaries: string[] = [];
for (const level of levels) {
  if (!known.includes(level)) throw new Error(`unknown level '${level}': one of ${known.join(', ')}`);
  const started = performance.now();
  const { passed, failed, failures, again } = level === 'checks' ? runChecks() : runLevel(level);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  summaries.push(`${level}: ${passed} passed, ${failed} failed in ${seconds} s`);
  console.log(`${summaries.at(-1)}\n`);
  total.passed += passed;
  total.failed += failed;
  total.failures.push(...failures);
  total.again.push(...again);
}
for (const summary of summaries) console.log(summary);
for (const failure of total.again) console.log(`failed, and passed when it ran again by itself: ${failure}`);
for (const failure of total.failures) console.log(`failed: ${failure}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
