// Runs the levels of the test suite one after the other and closes with one line over all of them.
// A level that executes no test fails: a suite that silently runs nothing must not look green.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

interface Tally {
  passed: number;
  failed: number;
  /**
   * Each file with a failure, with its first one: repeated at the end, where a log that was cut still has them. Short, because
   * a file whose set-up fails has dozens of the same.
   */
  failures: string[];
}

/** What of Jest's report is read. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
  testResults: {
    name: string;
    message: string;
    assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
  }[];
}

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
  const tally: Tally = { passed: 0, failed: 0, failures: [] };
  for (const [name, command] of Object.entries(checks)) {
    const passed = run(command);
    console.log(`${passed ? 'ok    ' : 'FAILED'} check: ${name}`);
    tally[passed ? 'passed' : 'failed'] += 1;
    if (!passed) tally.failures.push(`check: ${name}`);
  }
  return tally;
}

/**
 * End-to-end tests that change what the whole cluster shares, such as CRDs and images, or need most of its node's CPU, as all
 * samples at once and a hundred tenants do: nothing runs beside them.
 */
const ALONE =
  'test/e2e/(demo|images|gateway/(hundred-asleep|node-drain)|gitops/no-diff|install/(install|replicas|rights|samples|upgrade))';

/** What reaches into the local cluster: its audit log, and processes and mounts of its node, which is this machine. */
const REACHES_IN = /support\/(audit|node-process|processes|small-disk)\.ts'/;

/** Test files of a level that another cluster can't run. */
function localOnly(level: string): string[] {
  const files = readdirSync(join(root, 'test', level), { recursive: true, encoding: 'utf8' });
  const tests = files.filter((file) => file.endsWith('.test.ts')).map((file) => `test/${level}/${file}`);
  return tests.filter((file) => REACHES_IN.test(readFileSync(join(root, file), 'utf8'))).toSorted();
}

/**
 * The parts of a level, run one after the other. Integration and e2e tests speak to addresses that exist only inside the
 * cluster's network.
 */
function partsOf(level: string): string[][] {
  const jest = [
    'node',
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    '--selectProjects',
    level,
  ];
  if (level === 'unit') return [jest];
  // Of the cluster it needs nothing, and from its network no package index is reached.
  if (level === 'kills') return [[...jest, '--runInBand']];
  const parts: Record<string, string[][]> = {
    // Two at a time: they start API servers of their own.
    integration: [[...jest, '--maxWorkers=2']],
    // Three at a time where each file has a namespace and an operator of its own: they wait more than they work.
    e2e: [
      [...jest, '--maxWorkers=3', '--testPathIgnorePatterns', ALONE],
      [...jest, '--runInBand', '--testPathPatterns', ALONE],
    ],
  };
  const commands = parts[level] ?? [[...jest, '--runInBand']];
  if (currentContext && level !== 'e2e') return commands;
  if (currentContext) {
    const left = localOnly(level);
    const why = 'only the local cluster lets one read its audit log and reach into its node';
    console.log(`left out, because ${why}: ${left.join(', ')}`);
    return commands.map((command) => [...command, ...left.flatMap((file) => ['--testPathIgnorePatterns', file])]);
  }
  if (!existsSync(join(cluster, 'kubeconfig')))
    throw new Error(`${level} tests need the local cluster: run 'make cluster' first`);
  return commands.map((command) => [join(cluster, 'bin/enter'), ...command]);
}

function runLevel(level: string): Tally {
  // With CLUSTER=current what kubectl would take, for those who read the file themselves.
  const own = process.env['KUBECONFIG'] ?? join(homedir(), '.kube/config');
  const kubeconfig = currentContext ? own : join(cluster, 'kubeconfig');
  const env = level === 'unit' ? {} : { KUBECONFIG: kubeconfig };
  const tallies = partsOf(level).map((command) => runPart(command, env));
  return {
    passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
    failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
    failures: tallies.flatMap(({ failures }) => failures),
  };
}

/** One line: without colours, the stack and what names this machine. */
function firstLine(text: string): string {
  const [line = ''] = stripVTControlCharacters(text)
    .trim()
    .split(/\n\s+at /);
  return line.replaceAll(`${root}/`, '').replace(/\s+/g, ' ').slice(0, 800);
}

function failuresOf({ testResults }: Report): string[] {
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    const [first] = failed;
    if (!first) return assertionResults.length === 0 ? [`${file}: ${firstLine(message)}`] : [];
    const found = `${first.fullName.slice(-100)}: ${firstLine(first.failureMessages[0] ?? '')}`;
    return [`${file}: ${failed.length} of ${assertionResults.length}: ${found}`];
  });
}

function runPart(command: string[], env: NodeJS.ProcessEnv): Tally {
  const dir = mkdtempSync(join(tmpdir(), 'copilot-operator-test-'));
  const report = join(dir, 'report.json');
  try {
    const succeeded = run([...command, '--json', `--outputFile=${report}`], env);
    const words = command.slice(command.indexOf('--selectProjects')).join(' ');
    if (!existsSync(report)) return { passed: 0, failed: 1, failures: [`${words}: ended without a report`] };
    const results = JSON.parse(readFileSync(report, 'utf8')) as Report;
    const { numPassedTests: passed, numFailedTests, numRuntimeErrorTestSuites } = results;
    const failed = numFailedTests + numRuntimeErrorTestSuites;
    const failures = failuresOf(results);
    if (failed > 0) return { passed, failed, failures };
    if (passed > 0 && succeeded) return { passed, failed: 0, failures };
    return {
      passed,
      failed: 1,
      failures: [`${words}: ${passed === 0 ? 'ran no test' : 'failed outside of its tests'}`],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** `faults` and `upgrades` run a few here, and all by `make test-faults` and `make test-upgrades`. `kills` are random: by `make test-kills` only. */
const usual = ['checks', 'unit', 'integration', 'faults', 'e2e', 'upgrades'];
/** `argocd` has a target of its own, `make test-argocd`: it takes minutes to build what it needs. */
const known = [...usual, 'kills', 'argocd'];
const levels = process.argv.slice(2).length > 0 ? process.argv.slice(2) : usual;
const total: Tally = { passed: 0, failed: 0, failures: [] };
const summaries: string[] = [];
for (const level of levels) {
  if (!known.includes(level)) throw new Error(`unknown level '${level}': one of ${known.join(', ')}`);
  const started = performance.now();
  const { passed, failed, failures } = level === 'checks' ? runChecks() : runLevel(level);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  summaries.push(`${level}: ${passed} passed, ${failed} failed in ${seconds} s`);
  console.log(`${summaries.at(-1)}\n`);
  total.passed += passed;
  total.failed += failed;
  total.failures.push(...failures);
}
for (const summary of summaries) console.log(summary);
for (const failure of total.failures) console.log(`failed: ${failure}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
