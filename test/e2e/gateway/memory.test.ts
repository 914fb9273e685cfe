// A server that is killed because its pod exceeds its memory, in the middle of a turn, on a real cluster: its client notices nothing but waiting.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { converse, startGatewayBeside } from '../../support/gateway-beside.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';

jest.setTimeout(3 * READY_MS);

const BINARIES = ['cli', 'runtime'] as const;
/** Many programs that are each smaller than the server: the kernel kills the largest one first. */
const GREEDY = 'for each in $(seq 100); do (head -c 16000000 /dev/zero | tail -c 16000000 | sleep 60) & done; wait';

let namespace: TestNamespace;
let model: ModelInCluster;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  model = await ModelInCluster.start(namespace);
  await startGatewayBeside(namespace);
  const resources = { limits: { memory: '600Mi' } };
  for (const binary of BINARIES) {
    await namespace.createTenant(binary, { server: { binary, resources }, ...askingTestModel(namespace.name) });
  }
}, 4 * READY_MS);
afterAll(() => namespace.close());

it.each(BINARIES)('a turn goes on whose server (%s) is killed for its memory', async (tenant) => {
  await namespace.waitForReady(tenant);
  const [before] = await namespace.pods(tenant);
  const match = randomUUID();
  const toolCall = { name: 'bash', arguments: { command: GREEDY, description: 'x' } };
  await model.script({ match, steps: [{ toolCall }, { text: 'done' }] });
  await converse(namespace, tenant, async (client, config) => {
    const session = await client.createSession(config);
    expect((await session.sendAndWait({ prompt: match }, READY_MS))?.data.content).toBe('done');
    const events = await session.getEvents();
    expect(events.flatMap((each) => (each.type === 'user.message' ? [each.data.content] : []))).toEqual([match]);
  });
  const [pod] = await namespace.pods(tenant);
  const [container] = pod?.status?.containerStatuses ?? [];
  expect(pod?.metadata.uid).toBe(before?.metadata.uid);
  expect(container?.lastState?.terminated?.reason).toBe('OOMKilled');
  const told = (await model.journal(match)).flatMap(({ toolResults = [] }) => toolResults);
  expect(told.join()).toContain('interrupted');
});
