// Upgrades of servers, operator and gateway, one after the other, while clients of the real SDK chat without a pause: no turn is lost, and
// clients are told nothing but that a replica of the gateway that stops has closed their connection between turns.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { record } from '../../bench/lib/record.ts';
import { bounded, toMarkdown, type BenchResult } from '../../bench/lib/result.ts';
import { Pod, Secret, Service } from '../../src/kube/types/builtins.ts';
import { bindingFrom } from '../support/chat.ts';
import { OPERATOR_IMAGE, READY_MS, SERVER_IMAGE, TestNamespace } from '../support/cluster.ts';
import { askingTestModel, ModelInCluster } from '../support/model-in-cluster.ts';
import { PodLogs } from '../support/pod-logs.ts';
import { Release } from '../support/release.ts';
import { PROJECT } from '../support/tenant-api.ts';
import { output } from '../support/tools.ts';
import { waitFor } from '../support/wait.ts';
import type { Progress, Result } from './clients.ts';

/** A hundred by `make test-upgrades`, which is no part of `make test`. */
const UPGRADES = Number(process.env['UPGRADES'] ?? 3);
const CLIENTS = Number(process.env['UPGRADE_CLIENTS'] ?? 4);
/** After so many minutes no further one is begun, and the result says how many there were. */
const MINUTES = Number(process.env['UPGRADE_MINUTES'] ?? Infinity);
/** How long a replica of the gateway that stops keeps its clients, in seconds. */
const GATEWAY_SECONDS = 30;
/** Lines of the log of each pod that a failure shows. */
const LOG_LINES = Number(process.env['UPGRADE_LOG_LINES'] ?? 60);
/** Where all that is kept of the logs is written to, also after success: for those who ask what the longest prompts waited for. */
const LOG_FILE = process.env['UPGRADE_LOG_FILE'];
/** How many of the longest prompts the summary has. */
const TOLD_SLOWEST = 10;

jest.setTimeout(4 * READY_MS + UPGRADES * 2 * READY_MS);

let namespace: TestNamespace;
let release: Release;
let logs: PodLogs;

beforeAll(async () => {
  // In the local cluster only: elsewhere it would have to be pushed.
  for (const image of [SERVER_IMAGE, OPERATOR_IMAGE])
    await output(join(PROJECT, 'test/cluster/cluster.sh'), ['tag-image', image, another(image)]);
  namespace = await TestNamespace.open();
  const gateway = {
    terminationGracePeriodSeconds: GATEWAY_SECONDS,
    resources: { requests: { cpu: '10m', memory: '64Mi' } },
  };
  logs = PodLogs.follow(namespace, 'app.kubernetes.io/component in (operator, gateway)');
  release = await Release.install(namespace, { values: { gateway, rbac: { nodes: false } } });
  await ModelInCluster.start(namespace);
  await namespace.createTenant('acme', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
  await namespace.waitForReady('acme');
});
afterAll(async () => {
  if (LOG_FILE !== undefined) await writeFile(LOG_FILE, logs.tail(Infinity));
  await release.uninstall();
  await namespace.close();
});

/** The image under its other name, and the next time under its own: each is an upgrade. */
const imageOf = (image: string, number: number) => (number % 2 === 0 ? another(image) : image);
const another = (image: string) => `${image}-again`;

async function upgradeDeployment(deployment: string, number: number): Promise<void> {
  const ofDeployment = ['-n', namespace.name, `deployment/${deployment}`];
  await namespace.kubectl.ok(['set', 'image', ...ofDeployment, `*=${imageOf(OPERATOR_IMAGE, number)}`]);
  await namespace.kubectl.ok(['rollout', 'status', ...ofDeployment, '--timeout=3m']);
}

async function upgradeServer(number: number): Promise<void> {
  const [before] = await namespace.pods('acme');
  await namespace.patchTenant('acme', { spec: { server: { image: imageOf(SERVER_IMAGE, number) } } });
  const uid = before?.metadata.uid;
  const isReplaced = async () => (await namespace.pods('acme')).every(({ metadata }) => metadata.uid !== uid);
  await waitFor('the old pod is gone', isReplaced, { withinMs: 2 * READY_MS, everyMs: 250 });
  await namespace.waitForReady('acme');
}

const kinds = [
  { what: 'server', upgrade: upgradeServer },
  { what: 'operator', upgrade: (number: number) => upgradeDeployment(release.fullname, number) },
  { what: 'gateway', upgrade: (number: number) => upgradeDeployment(release.gatewayName, number) },
];

const kindOf = (number: number) => kinds[number % kinds.length] as (typeof kinds)[number];

it(`upgrades under ${CLIENTS} clients lose no turn`, async () => {
  try {
    await upgradeUnderClients();
  } catch (error) {
    // First what explains the rest.
    const { status } = await namespace.tenant('acme');
    throw new Error(`${String(error)}\n${JSON.stringify(status, null, 1)}\n${logs.tail(LOG_LINES)}`, { cause: error });
  }
});

async function upgradeUnderClients(): Promise<void> {
  const { data = {} } = await namespace.client.get(Secret, namespace.ref('acme-binding'));
  // Without kubectl between: a forward of ports ends with what it forwards to, or with a busy machine.
  const addressOf = async (service: string) =>
    (await namespace.client.get(Service, namespace.ref(service))).spec?.clusterIP ?? '';
  const binding = { ...bindingFrom(data), host: await addressOf(release.gatewayName) };
  const model = `http://${await addressOf('test-model')}:8080`;
  const args = [join(import.meta.dirname, 'clients.ts'), JSON.stringify(binding), `${CLIENTS}`, model];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  namespace.use({ [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') });
  let last: Partial<Progress & Result> = {};
  const read = createInterface({ input: child.stdout }).on('line', (line) => void (last = JSON.parse(line) as never));
  const latest = () => last.answered ?? [];
  const goesOn = async (after: string) => {
    const before = latest();
    const silent = () =>
      Array.from({ length: CLIENTS }, (_, of) => of).filter((of) => !((latest()[of] ?? 0) > (before[of] ?? 0)));
    const isOver = () => silent().length === 0 || (last.errors?.length ?? 0) > 0 || child.exitCode !== null;
    const endsAt = performance.now() + 2 * READY_MS;
    while (!isOver() && performance.now() < endsAt) await setTimeout(250);
    expect([after, last.errors ?? []]).toEqual([after, []]);
    expect([after, silent().map((of) => `client ${of} waits for ${last.doing?.[of]}`)]).toEqual([after, []]);
  };
  await goesOn('the start');
  const tookMs = new Map(kinds.map(({ what }) => [what, [] as number[]]));
  const endsAt = performance.now() + MINUTES * 60_000;
  for (let number = 0; number < UPGRADES && performance.now() < endsAt; number += 1) {
    const { what, upgrade } = kindOf(number);
    const since = performance.now();
    await upgrade(Math.floor(number / kinds.length));
    tookMs.get(what)?.push(performance.now() - since);
    await goesOn(`upgrade ${number + 1}, of the ${what}`);
    const turns = latest().reduce((sum, each) => sum + each, 0);
    process.stdout.write(`${new Date().toISOString()} upgrade ${number + 1}, of the ${what}: ${turns} turns so far\n`);
  }
  // Until the end of the last ones, which close the connections of their clients.
  const gateways = () => namespace.list(Pod, 'app.kubernetes.io/component=gateway');
  await waitFor('only the latest gateways are left', async () => (await gateways()).length === 2, {
    withinMs: GATEWAY_SECONDS * 1000 + READY_MS,
    everyMs: 500,
  });
  await goesOn('the last gateway has stopped');
  child.stdin.end();
  await Promise.all([once(read, 'close'), once(child, 'exit')]);
  const result = last as Result;
  expect([child.exitCode, result.errors]).toEqual([0, []]);
  const told = resultOf(result, tookMs);
  const slowest = result.slowest.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, TOLD_SLOWEST);
  const longest = slowest.map((each) => `${each.endedAt} after ${each.tookMs} ms: ${each.steps.join(', ')}`);
  process.stdout.write(`${toMarkdown(told)}\n${longest.join('\n')}\n`);
  if (process.env['UPGRADES_RECORD'] === 'yes') record(told);
}

function resultOf({ tookMs, closed, errors }: Result, upgradesMs: ReadonlyMap<string, readonly number[]>): BenchResult {
  const turns = { metric: 'turns', value: tookMs.length, unit: 'turns' };
  const upgrades = [...upgradesMs.values()].reduce((sum, { length }) => sum + length, 0);
  const figures = Array.from(upgradesMs, ([what, took]) => {
    return { metric: `an upgrade of the ${what}, median of ${took.length}`, value: at(took, 0.5) / 1000, unit: 's' };
  });
  return {
    name: 'Upgrades',
    about:
      `${upgrades} upgrades in a row, of the images of server (binary \`runtime\`), operator and gateway in turn, under ${CLIENTS} clients of the Node SDK that chat without a pause, the next upgrade as soon as each has had an answer since. ` +
      `Replicas of the gateway close their clients after ${GATEWAY_SECONDS} s. The whole cluster, the test model and the clients share the cores. A prompt is measured from \`sendAndWait\` to its answer, with a new connection where the old one was closed. ` +
      'Lost is a turn without its answer, or whose prompt does not stand in its session exactly once and in order; an error is what an application is told but for the closed connection.',
    figures: [
      bounded('turns lost, and errors told to clients', errors.length, '', 0),
      turns,
      { metric: 'connections closed by replicas that stopped', value: closed, unit: '' },
      { metric: 'a prompt, p50', value: at(tookMs, 0.5), unit: 'ms' },
      { metric: 'a prompt, p99', value: at(tookMs, 0.99), unit: 'ms' },
      { metric: 'the longest prompt', value: at(tookMs, 1), unit: 'ms' },
      ...figures,
    ],
  };
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}
