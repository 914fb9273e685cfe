// Servers that are replaced and stopped under clients of the gateway, on a real cluster: the real SDK notices nothing but waiting.
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { CoreEvent } from '../../../src/kube/types/builtins.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { converse, startGatewayBeside, type Use } from '../../support/gateway-beside.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

let namespace: TestNamespace;
let model: ModelInCluster;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  // First, because this machine has an address in the network of pods only while there is one.
  model = await ModelInCluster.start(namespace);
  await startGatewayBeside(namespace);
  for (const binary of ['cli', 'runtime'] as const) {
    await namespace.createTenant(binary, { server: { binary }, ...askingTestModel(namespace.name) });
  }
}, 4 * READY_MS);
afterAll(() => namespace.close());

/** A word that only the prompt of this answer has. Four seconds, if it is slow. */
async function answer(text: string, isSlow = false): Promise<string> {
  const match = randomUUID();
  await model.script({ match, steps: [{ text, ...(isSlow && { delayMs: 1000 }) }] });
  return match;
}

const asked = (match: string) =>
  waitFor('the model is asked', async () => (await model.journal(match)).length > 0, { withinMs: 30_000 });

describe.each(['cli', 'runtime'] as const)('a tenant with binary %s, in the middle of a conversation', (tenant) => {
  beforeEach(() => namespace.waitForReady(tenant));

  const conversing = (use: Use) => converse(namespace, tenant, use);
  const podUID = async () => (await namespace.pods(tenant))[0]?.metadata.uid;
  const draining = () =>
    namespace.waitForTenant(tenant, 'drains', ({ status }) => status?.servers?.[0]?.state === 'Draining');

  it('has its server replaced when the turn has ended, and the next prompt runs on the new one', async () => {
    const before = await podUID();
    const [first, second] = [await answer('one two three four', true), await answer('on the new server')];
    await conversing(async (client, config) => {
      const session = await client.createSession(config);
      const turn = session.sendAndWait({ prompt: first }, READY_MS);
      await asked(first);
      await namespace.patchTenant(tenant, { spec: { server: { idleUnload: '1h' } } });
      const { status } = await draining();
      expect(status?.servers?.[0]?.drain).toMatchObject({ reason: 'Updating', podUID: before });
      const next = turn.then(() => session.sendAndWait({ prompt: second }, READY_MS));
      expect((await turn)?.data.content).toBe('one two three four');
      expect((await next)?.data.content).toBe('on the new server');
      expect(await podUID()).not.toBe(before);
    });
    const [request] = await model.journal(second);
    expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
    const { items } = await namespace.client.listAll(CoreEvent, { namespace: namespace.name });
    expect(items.some(({ reason, message }) => reason === 'ServerDraining' && message?.includes(`${tenant}-0`))).toBe(
      true,
    );
    await namespace.waitForTenant(tenant, 'states no drain', ({ status }) => status?.servers?.[0]?.drain === undefined);
  });

  it('is suspended when the turn has ended', async () => {
    const first = await answer('one two three four', true);
    await conversing(async (client, config) => {
      const session = await client.createSession(config);
      const turn = session.sendAndWait({ prompt: first }, READY_MS);
      await asked(first);
      await namespace.patchTenant(tenant, { spec: { suspend: true } });
      await draining();
      expect((await turn)?.data.content).toBe('one two three four');
    });
    await namespace.waitForTenant(tenant, 'is suspended', ({ status }) => status?.replicas === 0);
    await waitFor('no pod is left', async () => (await namespace.pods(tenant)).length === 0, { withinMs: READY_MS });
    await namespace.patchTenant(tenant, { spec: { suspend: false } });
  });
});
