// Tenants that sleep while nobody uses them, on a real cluster: the real SDK wakes them, and notices nothing but waiting.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import { conditionOf, READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { converse, startGatewayBeside, type OperatorBeside, type Use } from '../../support/gateway-beside.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';

jest.setTimeout(6 * READY_MS);

/** A minute without use, and what the gateway has said of it half a minute ago. */
const ASLEEP_MS = 4 * READY_MS;
const BINARIES = ['cli', 'runtime'] as const;
let namespace: TestNamespace;
let model: ModelInCluster;
let operator: OperatorBeside;

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  // First, because this machine has an address in the network of pods only while there is one.
  model = await ModelInCluster.start(namespace);
  operator = await startGatewayBeside(namespace);
  for (const binary of BINARIES) {
    await namespace.createTenant(binary, {
      server: { binary },
      hibernation: { afterIdle: '1m', wakeTimeout: '20s' },
      ...askingTestModel(namespace.name),
    });
  }
}, 4 * READY_MS);
afterAll(() => namespace.close());

/** A word that only the prompt of this answer has. */
async function answer(text: string): Promise<string> {
  const match = randomUUID();
  await model.script({ match, steps: [{ text }] });
  return match;
}

const conversing = (tenant: string, use: Use) => converse(namespace, tenant, use);

const phaseOf = ({ status }: CopilotTenant) => status?.hibernation?.phase;
const fallsAsleep = (tenant: string) =>
  namespace.waitForTenant(tenant, 'sleeps', (found) => phaseOf(found) === 'Stopped', ASLEEP_MS);

describe.each(BINARIES)('a tenant with binary %s that nobody uses', (tenant) => {
  const sessionId = randomUUID();
  let before: CopilotTenant;

  it('is put to sleep: no server runs, and what is known of it stays', async () => {
    await namespace.waitForReady(tenant);
    const first = await answer('before the sleep');
    await conversing(tenant, async (client, config) => {
      const session = await client.createSession({ ...config, sessionId });
      expect((await session.sendAndWait({ prompt: first }, READY_MS))?.data.content).toBe('before the sleep');
      await session.disconnect();
    });
    before = await namespace.waitForTenant(tenant, 'knows its session', ({ status }) => status?.sessions?.total === 1);
    const { status, ...asleep } = await fallsAsleep(tenant);
    expect(await namespace.pods(tenant)).toEqual([]);
    expect(conditionOf({ ...asleep, status } as CopilotTenant, 'Hibernated')).toMatchObject({
      status: 'True',
      reason: 'Idle',
    });
    expect(conditionOf({ ...asleep, status } as CopilotTenant, 'Ready')).toMatchObject({
      status: 'True',
      reason: 'Hibernated',
    });
    const { binding, sessions, serversReady, endpoint } = status ?? {};
    expect({ binding, total: sessions?.total, endpoint, serversReady }).toEqual({
      binding: before.status?.binding,
      total: 1,
      endpoint: before.status?.endpoint,
      serversReady: '0/0',
    });
    const wide = await namespace.kubectl.ok(['get', 'ct', tenant, '-n', namespace.name, '-o', 'wide']);
    expect(wide).toMatch(/HIBERNATED/);
    expect(wide).toMatch(/ True .*0\/0 /);
  });

  it('is not woken by pings and lists, and is by a chat, which goes on where it was', async () => {
    const second = await answer('after the sleep');
    await conversing(tenant, async (client, config) => {
      await client.ping('still there?');
      await expect(client.listSessions()).rejects.toThrow(/sleeps, and this call does not wake it/);
      expect(phaseOf(await namespace.tenant(tenant))).toBe('Stopped');
      const began = performance.now();
      const session = await client.resumeSession(sessionId, config);
      const awakeMs = Math.round(performance.now() - began);
      expect((await session.sendAndWait({ prompt: second }, READY_MS))?.data.content).toBe('after the sleep');
      process.stdout.write(`${tenant}: the held frame was answered after ${awakeMs} ms\n`);
    });
    const [request] = await model.journal(second);
    expect(request?.roles?.filter((role) => role === 'user')).toHaveLength(2);
    const { status } = await namespace.waitForReady(tenant);
    expect(status?.hibernation).toMatchObject({ phase: 'Running' });
    expect(status?.serverVersion).toBe(before.status?.serverVersion);
  });
});

describe('a tenant that sleeps', () => {
  const tenant = 'runtime';

  /** It cannot be woken, of which a client is told why, and sleeps again. */
  async function failsToWake(why: RegExp): Promise<void> {
    await conversing(tenant, async (client, config) => {
      await expect(client.createSession(config)).rejects.toThrow(why);
    });
    const failed = await fallsAsleep(tenant);
    expect(conditionOf(failed, 'Hibernated')).toMatchObject({ status: 'True', reason: 'WakeFailed' });
    expect(conditionOf(failed, 'Ready')).toMatchObject({ status: 'False', reason: 'WakeFailed' });
    expect(await namespace.pods(tenant)).toEqual([]);
  }

  it('and whose image is gone tells its clients, and sleeps again', async () => {
    await fallsAsleep(tenant);
    await namespace.patchTenant(tenant, { spec: { server: { image: 'localhost/no-such-image:1' } } });
    await failsToWake(/could not be woken: .*no-such-image/s);
    await namespace.patchTenant(tenant, { spec: { server: { image: SERVER_IMAGE } } });
  });

  it('and whose pods a quota refuses tells its clients, and sleeps again', async () => {
    await fallsAsleep(tenant);
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'no-pods' },
      spec: { hard: { pods: '0' } },
    };
    await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], quota);
    await failsToWake(/could not be woken: .*exceeded quota: no-pods/s);
    await namespace.kubectl.ok(['delete', 'resourcequota', 'no-pods', '-n', namespace.name]);
  });

  it('and that no operator can wake has its clients wait for one, which wakes it', async () => {
    await fallsAsleep(tenant);
    await operator.stop();
    const match = await answer('by the next operator');
    await conversing(tenant, async (client, config) => {
      const made = client.createSession(config);
      // The gateway serves all that needs no operator meanwhile.
      await client.ping('still there?');
      expect(phaseOf(await namespace.tenant(tenant))).toBe('Stopped');
      await operator.start();
      const session = await made;
      expect((await session.sendAndWait({ prompt: match }, READY_MS))?.data.content).toBe('by the next operator');
    });
    const { status } = await namespace.waitForReady(tenant);
    expect(status?.hibernation?.failure).toBeUndefined();
  });

  it('is not woken while it is suspended', async () => {
    await fallsAsleep('cli');
    await namespace.patchTenant('cli', { spec: { suspend: true } });
    await namespace.waitForTenant('cli', 'is suspended', (found) => conditionOf(found, 'Ready').reason === 'Suspended');
    await conversing('cli', async (client, config) => {
      await expect(client.createSession(config)).rejects.toThrow(/is stopped by its spec\.suspend/);
    });
    expect(await namespace.pods('cli')).toEqual([]);
  });

  it('has the data of a deleted session removed on its volume, and is deleted itself, without being woken', async () => {
    const session = 'kept-while-asleep';
    await namespace.createSession(session, tenant);
    const match = await answer('to be deleted');
    await conversing(tenant, async (client, config) => {
      const made = await client.createSession({ ...config, sessionId: session });
      await made.sendAndWait({ prompt: match }, READY_MS);
      await made.disconnect();
    });
    await namespace.waitForSession(session, 'is known', ({ status }) => status?.server !== undefined);
    const { status } = await fallsAsleep(tenant);
    await namespace.waitForSession(
      session,
      'says that its tenant sleeps',
      (found) => found.status?.conditions?.some(({ reason }) => reason === 'TenantHibernated') === true,
    );
    const remove = ['delete', '-n', namespace.name, '--wait', '--timeout=120s'];
    await namespace.kubectl.ok([...remove, 'csn', session]);
    expect((await namespace.tenant(tenant)).status?.hibernation).toEqual(status?.hibernation);
    await namespace.kubectl.ok([...remove, 'ct', tenant]);
  });
});
