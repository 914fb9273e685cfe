// A tenant that sleeps while nobody uses it, on a real API server. The pods, and what the gateway says, are played.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Deployment, PersistentVolumeClaim, type Pod } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { GatewayDrains } from '../../../src/tenant/gateway-drains.ts';
import { Wakes } from '../../../src/tenant/wakes.ts';
import { DrainPort } from '../../support/drain-port.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { GATEWAY_FACTS } from '../../support/gateway-rights.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(120_000);

const MINUTE = 60_000;
let api: TenantApi;
let port: DrainPort;
/** What the gateway says. */
let idleMs: number;
const directory = mkdtempSync(join(tmpdir(), 'copilot-operator-sleep-'));
const tokenFile = join(directory, 'token');

beforeAll(async () => {
  writeFileSync(tokenFile, 'token');
  api = await startTenantApi();
  port = await DrainPort.start();
}, 90_000);
afterAll(async () => {
  await port[Symbol.asyncDispose]();
  await api.stop();
  rmSync(directory, { recursive: true });
});

interface Operator {
  readonly world: ReconcilerWorld & AsyncDisposable;
  readonly drains: GatewayDrains;
  readonly wakes: Wakes;
}

/** In the namespace of another one it is the next process. */
async function operator(namespace?: string): Promise<Operator & AsyncDisposable> {
  const drains = port.drains(tokenFile);
  port.lines = [];
  const wakes = new Wakes({ clock: new FakeClock(), max: 8, waking: () => [] });
  const clients = { get: () => 0, idleMs: () => idleMs, onChange: () => undefined };
  const world = await ReconcilerWorld.open(api.kubeconfig, namespace, {
    gateway: GATEWAY_FACTS,
    drains,
    clients,
    wakes,
  });
  return { world, drains, wakes, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

async function runs({ world }: Operator): Promise<Pod> {
  const pod = await world.startPod('acme', 0);
  await world.settle();
  world.health.set(`${world.namespace}/acme-0`, { state: 'Healthy', version: '1.0', since: 0 });
  await world.reconcile('acme');
  await world.settle();
  return pod;
}

/** Tenant acme, which was just used. Returns its pod. */
async function used(at: Operator): Promise<Pod> {
  const { world } = at;
  idleMs = 0;
  await world.createTenant('acme', { access: 'Gateway', hibernation: { afterIdle: '1m' } });
  await world.settle();
  await world.patch(PersistentVolumeClaim, 'acme-0', { status: { phase: 'Bound' } }, 'status');
  return runs(at);
}

async function reconciled({ world }: Operator): Promise<void> {
  await world.reconcile('acme');
  await world.settle();
}

async function says(at: Operator, epoch: number): Promise<void> {
  port.lines = [{ server: `${at.world.namespace}/acme-0`, epoch, turns: 0, drained: true }];
  await at.drains.poll(new AbortController().signal);
  await at.world.settle();
}

const status = async ({ world }: Operator) => (await world.tenant('acme')).status;
const phase = async (at: Operator) => (await status(at))?.hibernation?.phase;
const hibernated = async (at: Operator) => {
  const { status: is, reason } = findCondition((await status(at))?.conditions, 'Hibernated') ?? {};
  return `${is} ${reason}`;
};
const replicas = async ({ world }: Operator) => (await world.get(Deployment, 'acme-0'))?.spec?.replicas;

describe('a tenant that nobody uses', () => {
  it('is drained, stopped and woken, by one operator after the other', async () => {
    await using at = await operator();
    const { world } = at;
    const pod = await used(at);
    expect([await hibernated(at), await phase(at)]).toEqual(['False InUse', undefined]);
    idleMs = 2 * MINUTE;
    await reconciled(at);
    expect([await hibernated(at), await phase(at), await replicas(at)]).toEqual(['False FallingAsleep', 'Draining', 1]);
    expect((await status(at))?.servers?.[0]?.drain).toMatchObject({ reason: 'Hibernating', podUID: pod.metadata.uid });
    await says(at, 1);
    expect([await hibernated(at), await phase(at), await replicas(at)]).toEqual(['True Idle', 'Stopping', 0]);
    await world.removePod(pod);
    await world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
    await world.settle();
    await using next = await operator(world.namespace);
    await reconciled(next);
    expect([await phase(next), await replicas(next)]).toEqual(['Stopped', 0]);
    const { epoch = 0 } = (await status(next))?.hibernation ?? {};
    next.wakes.ask([{ namespace: world.namespace, name: 'acme', epoch }]);
    await next.world.settle();
    expect([await hibernated(next), await phase(next), await replicas(next)]).toEqual(['False Waking', 'Waking', 1]);
    await runs(next);
    expect([await hibernated(next), await phase(next)]).toEqual(['False InUse', 'Running']);
    expect(next.world.counted).toContain('wake Awake');
  });

  it('goes on running if a client comes while it drains', async () => {
    await using at = await operator();
    await used(at);
    idleMs = 2 * MINUTE;
    await reconciled(at);
    expect(await phase(at)).toBe('Draining');
    at.wakes.ask([{ namespace: at.world.namespace, name: 'acme', epoch: 1 }]);
    await at.world.settle();
    expect([await phase(at), await replicas(at)]).toEqual(['Running', 1]);
    expect((await status(at))?.servers?.[0]).not.toHaveProperty('drain');
  });

  it('cannot be one whose clients connect directly', async () => {
    await using at = await operator();
    const spec = { access: 'Direct', hibernation: { afterIdle: '1m' } } as const;
    await expect(at.world.createTenant('acme', spec)).rejects.toThrow(
      /spec.hibernation requires that clients come through the gateway/,
    );
    await at.world.createTenant('acme', { access: 'Direct' });
    await expect(at.world.patch(CopilotTenant, 'acme', { spec: { hibernation: { afterIdle: '1m' } } })).rejects.toThrow(
      /spec.hibernation requires/,
    );
  });
});
