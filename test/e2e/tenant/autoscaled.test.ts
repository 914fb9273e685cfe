// The autoscaler of docs/gateway.md with a real HorizontalPodAutoscaler: servers come while turns wait, and go without the loss of a turn or a session.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { CopilotClient, SessionConfig } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { PersistentVolumeClaim, Pod } from '../../../src/kube/types/builtins.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { freePort } from '../../support/copilot-server.ts';
import { yamlUnder } from '../../support/docs-examples.ts';
import { addressOfTests, converse, startGatewayBeside } from '../../support/gateway-beside.ts';
import { startMetricsAdapter, type ExternalRule } from '../../support/metrics-adapter.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { scrape } from '../../support/scrape.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

/** One more than a server is to have. */
const CROWD = 5;
const [rules, autoscaler] = yamlUnder('gateway.md', '### Scaling a tenant by its load') as [
  { externalRules: [ExternalRule] },
  object,
];

let namespace: TestNamespace;
let model: ModelInCluster;
/** Of the gateway's metrics. */
let port: number;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  model = await ModelInCluster.start(namespace);
  port = await freePort();
  await startGatewayBeside(namespace, [], ['--server-metrics=true', `--metrics-port=${port}`]);
  const [sessions, server] = [{ maxConcurrentTurns: 1 }, { binary: 'runtime' as const }];
  await namespace.createTenant('acme', { server, sessions, ...askingTestModel(namespace.name) });
  const url = `http://${await addressOfTests()}:${port}/metrics`;
  await startMetricsAdapter(namespace, url, rules.externalRules[0]);
  await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], autoscaler);
  await namespace.waitForReady('acme');
}, 4 * READY_MS);
afterAll(() => namespace.close());

/** A turn that runs until somebody has it end. */
async function longTurn(): Promise<{ readonly prompt: string; end(): Promise<void> }> {
  const match = randomUUID();
  const toolCall = { name: 'bash', arguments: { command: 'sleep 1', description: 'wait' } };
  await model.script({ match, steps: [{ toolCall }], repeat: true });
  // The newest rule counts.
  return { prompt: match, end: () => model.script({ match, steps: [{ text: 'ended' }] }) };
}

async function begin(client: CopilotClient, config: SessionConfig, prompt: string) {
  const session = await client.createSession(config);
  return { session, answer: session.sendAndWait({ prompt }, 2 * READY_MS).then((event) => event?.data.content) };
}

interface Autoscaler {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
  };
}

const found = async <T>(...what: string[]): Promise<T> =>
  JSON.parse(await namespace.kubectl.ok(['get', ...what, '-n', namespace.name, '-o', 'json'])) as T;
const patchAutoscaler = (spec: object) =>
  namespace.kubectl.ok(['patch', 'hpa/acme', '-n', namespace.name, '--type=merge', '-p', JSON.stringify({ spec })]);
const runs = (replicas: number) =>
  namespace.waitForTenant(
    'acme',
    `has ${replicas} servers`,
    (tenant) => tenant.status?.readyReplicas === replicas && tenant.status.replicas === replicas,
  );

describe('a tenant with an autoscaler', () => {
  it('gets a server while turns wait, and loses it without the loss of a turn or a session', async () => {
    await converse(namespace, 'acme', async (client, config) => {
      const first = await longTurn();
      const busy = await begin(client, config, first.prompt);
      const waiting = await Promise.all(
        Array.from({ length: CROWD - 1 }, async () => begin(client, config, randomUUID())),
      );
      await runs(2);
      await expectScale(2);
      await waitFor('the gateway knows both', async () => (await known()) === 2);

      const second = await longTurn();
      const elsewhere = await begin(client, config, second.prompt);
      await waitFor('a turn runs on the new server', async () => (await model.journal(second.prompt)).length > 0);
      await first.end();
      expect(await busy.answer).toBe('ended');
      await Promise.all(waiting.map(({ answer }) => answer));
      // As documented: it adds, and no more. Without the window it would think of removing one five minutes later only.
      await patchAutoscaler({ behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } });
      await waitFor('the autoscaler would remove one', isHeld, { withinMs: READY_MS, everyMs: 500 });
      expect(await namespace.tenant('acme')).toMatchObject({ spec: { replicas: 2 } });

      const volume = await namespace.get(PersistentVolumeClaim, 'acme-1');
      await patchAutoscaler({ behavior: { scaleDown: { selectPolicy: 'Max' } } });
      const isDraining = (tenant: Awaited<ReturnType<TestNamespace['tenant']>>) =>
        tenant.status?.servers?.find(({ name }) => name === 'acme-1')?.state === 'Draining';
      await namespace.waitForTenant('acme', 'waits for the turn of the second server', isDraining);
      await second.end();
      expect(await elsewhere.answer).toBe('ended');
      await runs(1);
      expect((await namespace.get(PersistentVolumeClaim, 'acme-1'))?.metadata.uid).toBe(volume?.metadata.uid);
      const { sessionId } = elsewhere.session;
      await expect(client.resumeSession(sessionId, config)).rejects.toThrow(/raise spec\.replicas to 2/);

      await patchAutoscaler({ minReplicas: 2 });
      await runs(2);
      const resumed = await waitFor('its session is there again', () => client.resumeSession(sessionId, config));
      const prompt = randomUUID();
      expect((await resumed.sendAndWait({ prompt }, READY_MS))?.data.content).toContain(prompt);
      const users = (await model.journal(prompt))[0]?.roles?.filter((role) => role === 'user');
      expect(users).toHaveLength(2);
    });
  });
});

/** How many servers: it connects to one for the first call. */
const known = async () =>
  Object.values((await scrape(port)).by('copilot_gateway_servers', 'state')).reduce((a, b) => a + b);

/** The autoscaler sees too few turns for the servers, and keeps them because it may not remove any. */
async function isHeld(): Promise<boolean> {
  const { status } = await found<Autoscaler>('hpa', 'acme');
  const limited = status?.conditions?.find(({ type }) => type === 'ScalingLimited');
  return limited?.status === 'True' && limited.reason === 'ScaleDownLimit';
}

/** Whom autoscalers count, and of whom those by CPU read what they use: the pods of the servers, and no others. */
async function expectScale(replicas: number): Promise<void> {
  const { spec, status } = await found<{
    spec: { replicas: number };
    status: { replicas: number; selector: string };
  }>('ct', 'acme', '--subresource=scale');
  expect({ spec: spec.replicas, status: status.replicas }).toEqual({ spec: replicas, status: replicas });
  const pods = await namespace.list(Pod, status.selector);
  const expected = await namespace.pods('acme');
  const names = (of: readonly Pod[]) => of.map(({ metadata }) => metadata.name).toSorted();
  expect(names(pods)).toEqual(names(expected));
  expect(pods).toHaveLength(replicas);
  const containers = pods.flatMap((pod) => pod.spec?.containers ?? []);
  expect(containers.filter(({ resources }) => resources?.requests?.['cpu'] === undefined)).toEqual([]);
}
