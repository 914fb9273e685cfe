// Many tenants that sleep, called at the same time on a real cluster: all are woken, a few at a time.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pod } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { converse, startGatewayBeside } from '../../support/gateway-beside.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(6 * READY_MS);

/** Three times as many as may be woken at a time. A hundred, by `SLEEPING_TENANTS=100`, take six minutes on two cores. */
const COUNT = Number(process.env['SLEEPING_TENANTS'] ?? 24);
let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  await ModelInCluster.start(namespace);
  await startGatewayBeside(namespace);
});
afterAll(() => namespace.close());

describe('many tenants that sleep', () => {
  const names = Array.from({ length: COUNT }, (_, index) => `many-${index}`);
  const contentType = 'application/merge-patch+json';
  const all = async (): Promise<CopilotTenant[]> =>
    (await namespace.list(CopilotTenant)).filter(({ metadata }) => names.includes(metadata.name));
  const allAre = (what: string, is: (tenant: CopilotTenant) => boolean) =>
    waitFor(`all ${what}`, async () => (await all()).filter(is).length === names.length, {
      withinMs: 2 * READY_MS,
      everyMs: 500,
    });

  /** They never ran: all their pods would have to start first. The operator takes a tenant as its status says that it is. */
  async function putToSleep(): Promise<void> {
    const resources = { requests: { cpu: '1m', memory: '16Mi' }, limits: { memory: '1Gi' } };
    for (const name of names) {
      await namespace.createTenant(name, {
        suspend: true,
        server: { binary: 'runtime', resources },
        hibernation: { afterIdle: '1h', wakeTimeout: '4m' },
        ...askingTestModel(namespace.name),
      });
    }
    await allAre('have a binding', ({ status }) => status?.binding?.credentials !== undefined);
    const paused = 'copilot-operator.dev/paused';
    for (const name of names) await namespace.patchTenant(name, { metadata: { annotations: { [paused]: 'true' } } });
    await allAre('are paused', (found) => conditionOf(found, 'Reconciling').reason === 'Paused');
    const hibernation = { phase: 'Stopped', epoch: 1, since: '2026-01-01T00:00:00Z' };
    for (const name of names) {
      const options = { contentType, subresource: 'status' } as const;
      await namespace.client.patch(CopilotTenant, namespace.ref(name), { status: { hibernation } }, options);
      await namespace.patchTenant(name, { spec: { suspend: false }, metadata: { annotations: { [paused]: null } } });
    }
    await allAre('sleep', (found) => conditionOf(found, 'Hibernated').status === 'True');
  }

  it('are all woken when they are called at once, a few at a time, and none waits for ever', async () => {
    await putToSleep();
    expect((await namespace.list(Pod)).filter(({ metadata }) => metadata.name.startsWith('many-'))).toEqual([]);
    const over = new AbortController();
    let most = 0;
    const watching = (async () => {
      while (!over.signal.aborted) {
        const waking = (await all()).filter((found) => found.status?.hibernation?.phase === 'Waking').length;
        most = Math.max(most, waking);
        await sleep(200);
      }
    })();
    const began = performance.now();
    const times = await Promise.all(
      names.map(async (name) => {
        await converse(namespace, name, async (client, config) => {
          await client.createSession(config);
        });
        return Math.round(performance.now() - began);
      }),
    );
    over.abort();
    await watching;
    const sorted = times.toSorted((a, b) => a - b);
    process.stdout.write(
      `${COUNT} tenants: first answered after ${sorted[0]} ms, half of them after ${sorted[COUNT >> 1]} ms, all after ${sorted.at(-1)} ms; at most ${most} at a time\n`,
    );
    expect(times).toHaveLength(names.length);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(8);
  });
});
