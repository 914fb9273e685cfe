// What the operator does before it replaces or stops a server whose clients come through a gateway, on a real API server. The pods, and
// what the gateway says on its internal port, are played.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Deployment,
  Node,
  PersistentVolumeClaim,
  type Pod,
  PodDisruptionBudget,
} from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import type { GatewayDrains } from '../../../src/tenant/gateway-drains.ts';
import { WatchedNodes } from '../../../src/tenant/nodes.ts';
import { freeze } from '../../support/change-freeze.ts';
import { FakeInformer } from '../../support/fake-informer.ts';
import { DrainPort } from '../../support/drain-port.ts';
import { GATEWAY_FACTS } from '../../support/gateway-rights.ts';
import { ReconcilerWorld } from '../../support/reconciler-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

const NEXT = { server: { image: 'example.com/copilot-cli:2' } };
const MARGIN_MS = 10_000;
let api: TenantApi;
let port: DrainPort;
const directory = mkdtempSync(join(tmpdir(), 'copilot-operator-drain-'));
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
  /** The nodes that it sees. */
  readonly nodes: FakeInformer<Node>;
}

/** An operator beside the gateway; in the namespace of another one it is the next process. */
async function operator(namespace?: string): Promise<Operator & AsyncDisposable> {
  const drains = port.drains(tokenFile);
  port.lines = [];
  const nodes = new FakeInformer<Node>(Node);
  const flags = { gateway: GATEWAY_FACTS, drains, nodes: new WatchedNodes(nodes) };
  const world = await ReconcilerWorld.open(api.kubeconfig, namespace, flags);
  return { world, drains, nodes, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

/** Tenant acme with servers that run and answer. Returns their pods. */
async function running({ world }: Operator, spec: { replicas?: number } = {}): Promise<Pod[]> {
  await world.createTenant('acme', { access: 'Gateway', ...spec });
  await world.settle();
  const pods: Pod[] = [];
  for (let index = 0; index < (spec.replicas ?? 1); index++) {
    await world.patch(PersistentVolumeClaim, `acme-${index}`, { status: { phase: 'Bound' } }, 'status');
    pods.push(await world.startPod('acme', index));
  }
  await world.settle();
  for (let index = 0; index < pods.length; index++) answers(world, index);
  await world.reconcile('acme');
  await world.settle();
  return pods;
}

function answers(world: ReconcilerWorld, index = 0): void {
  world.health.set(`${world.namespace}/acme-${index}`, { state: 'Healthy', version: '1.0', since: 0 });
}

/** The gateway says this of the drain with this epoch, and the operator asks it. */
async function says({ world, drains }: Operator, epoch: number, turns: number, index = 0): Promise<void> {
  port.lines = [{ server: `${world.namespace}/acme-${index}`, epoch, turns, drained: turns === 0 }];
  await drains.poll(new AbortController().signal);
  await world.settle();
}

async function change({ world }: Operator, spec: object): Promise<void> {
  await world.patch(CopilotTenant, 'acme', { spec });
  await world.settle();
}

const status = async ({ world }: Operator) => (await world.tenant('acme')).status;
const drainOf = async (at: Operator, index = 0) => (await status(at))?.servers?.[index]?.drain;
const reconciling = async (at: Operator) => findCondition((await status(at))?.conditions, 'Reconciling');
const readiness = async (at: Operator) => {
  const { status: is, reason } = findCondition((await status(at))?.conditions, 'Ready') ?? {};
  return `${is} ${reason}`;
};
const deploymentOf = ({ world }: Operator, index = 0) => world.get(Deployment, `acme-${index}`);
const imageOf = async (at: Operator) => (await deploymentOf(at))?.spec?.template.spec?.containers[0]?.image;

describe('an update of a server', () => {
  it('is done when the gateway has drained it, and the status says what it waits for', async () => {
    await using at = await operator();
    const { world } = at;
    const [pod] = await running(at);
    if (pod === undefined) throw new Error('no pod runs');
    await change(at, NEXT);
    expect(await status(at)).toMatchObject({
      drainEpoch: 1,
      servers: [{ state: 'Draining', drain: { epoch: 1, reason: 'Updating', podUID: pod.metadata.uid } }],
    });
    await says(at, 1, 2);
    expect(await reconciling(at)).toMatchObject({
      status: 'True',
      reason: 'Draining',
      message: expect.stringMatching(/^Server acme-0 drains before it is replaced: 2 turns still run, until 20/),
    });
    expect([await drainOf(at), await imageOf(at)]).toMatchObject([{ turns: 2 }, 'example.com/copilot-cli:1']);
    // It serves.
    expect(await readiness(at)).toBe('True ServersReady');
    await says(at, 1, 0);
    expect([await drainOf(at), await imageOf(at)]).toMatchObject([{ epoch: 1 }, 'example.com/copilot-cli:2']);
    expect(await readiness(at)).toBe('False ServersStarting');
    // The Deployment controller deletes the pod; until it is gone, no replica of the gateway may connect to it again.
    await world.removePod(pod);
    await world.settle();
    expect((await status(at))?.servers?.[0]).not.toHaveProperty('drain');
    expect(world.events).toContain('Normal ServerDraining');
    expect(world.counted).toContain('drain Drained');
    await world.startPod('acme', 0);
    await world.settle();
    await change(at, { server: { image: 'example.com/copilot-cli:3' } });
    expect(await drainOf(at)).toMatchObject({ epoch: 2 });
  });

  // Until the pod is gone a replica of the gateway would connect to it again.
  it('stays stated in a reconcile whose cache does not show yet that the Deployment was written', async () => {
    await using at = await operator();
    await running(at);
    await change(at, NEXT);
    port.lines = [{ server: `${at.world.namespace}/acme-0`, epoch: 1, turns: 0, drained: true }];
    await at.drains.poll(new AbortController().signal);
    await at.world.reconcile('acme');
    await at.world.sync(CopilotTenant);
    await at.world.reconcile('acme');
    expect([await drainOf(at), await imageOf(at)]).toMatchObject([{ epoch: 1 }, 'example.com/copilot-cli:2']);
  });

  it('is written while nothing changes not at all, and asks the gateway for nothing else', async () => {
    await using at = await operator();
    await running(at);
    await change(at, NEXT);
    await says(at, 1, 1);
    const before = await at.world.tenant('acme');
    port.asked.splice(0);
    for (let second = 0; second < 5; second++) await says(at, 1, 1);
    await at.world.advance(60_000);
    await at.world.settle();
    expect((await at.world.tenant('acme')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    expect(new Set(port.asked)).toEqual(new Set(['/drains']));
  });

  it('goes on with the same epoch and deadline in the next operator process', async () => {
    await using former = await operator();
    await running(former);
    await change(former, NEXT);
    const drain = await drainOf(former);
    await using at = await operator(former.world.namespace);
    answers(at.world);
    await at.world.fill();
    await at.world.settle();
    expect(await drainOf(at)).toEqual(drain);
    await says(at, 1, 0);
    expect(await imageOf(at)).toBe('example.com/copilot-cli:2');
  });

  it('is done after the deadline although turns still run, which is told', async () => {
    await using at = await operator();
    await running(at);
    await change(at, { ...NEXT, drain: { timeout: '1m' } });
    await says(at, 1, 1);
    await at.world.advance(60_000);
    await at.world.settle();
    expect(await imageOf(at)).toBe('example.com/copilot-cli:1');
    await at.world.advance(MARGIN_MS);
    await at.world.settle();
    expect(await imageOf(at)).toBe('example.com/copilot-cli:2');
    expect(at.world.events).toContain('Warning DrainDeadlinePassed');
    expect(at.world.counted).toContain('drain DeadlinePassed');
  });

  it('that is taken back leaves the server as it is', async () => {
    await using at = await operator();
    await running(at);
    const before = await deploymentOf(at);
    await change(at, NEXT);
    await change(at, { server: { image: null } });
    expect(await drainOf(at)).toBeUndefined();
    expect((await deploymentOf(at))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    expect(await reconciling(at)).toMatchObject({ status: 'False', reason: 'UpToDate' });
  });

  // A drain that nothing follows holds prompts for nothing, and a write without one cuts turns.
  it('that a policy refuses ends its drain, is tried without another one, and drains again once the policy would let it pass', async () => {
    await using at = await operator();
    const { world } = at;
    await running(at);
    const thaw = await freeze(api, world, 'deployments', 'acme-0');
    await change(at, NEXT);
    await says(at, 1, 0);
    expect([await drainOf(at), await imageOf(at)]).toEqual([undefined, 'example.com/copilot-cli:1']);
    await world.advance(60_000);
    await world.settle();
    expect([await drainOf(at), (await status(at))?.drainEpoch]).toEqual([undefined, 1]);
    await thaw();
    await waitFor('the server drains', async () => {
      await world.advance(60_000);
      await world.settle();
      return (await drainOf(at)) !== undefined || (await imageOf(at)) !== 'example.com/copilot-cli:1';
    });
    expect([await drainOf(at), await imageOf(at)]).toMatchObject([
      { epoch: 2, reason: 'Updating' },
      'example.com/copilot-cli:1',
    ]);
    await says(at, 2, 0);
    expect(await imageOf(at)).toBe('example.com/copilot-cli:2');
  });

  it('is not held up where clients connect directly', async () => {
    await using at = await operator();
    await running(at);
    await change(at, { access: 'Direct' });
    await change(at, NEXT);
    expect([await drainOf(at), await imageOf(at)]).toEqual([undefined, 'example.com/copilot-cli:2']);
  });
});

it('a suspended tenant keeps its servers until they are drained', async () => {
  await using at = await operator();
  const [pod] = await running(at);
  if (pod === undefined) throw new Error('no pod runs');
  await change(at, { suspend: true });
  expect(await status(at)).toMatchObject({ servers: [{ state: 'Draining', drain: { reason: 'Suspending' } }] });
  expect((await deploymentOf(at))?.spec?.replicas).toBe(1);
  expect(findCondition((await status(at))?.conditions, 'Ready')).toMatchObject({
    reason: 'Suspended',
    message: 'spec.suspend is true: servers stop when their running turns have ended; volumes are kept.',
  });
  await says(at, 1, 0);
  expect((await deploymentOf(at))?.spec?.replicas).toBe(0);
  await at.world.removePod(pod);
  await at.world.observeDeployment('acme-0', { replicas: 0, updatedReplicas: 0 });
  await at.world.settle();
  expect((await status(at))?.servers).toEqual([expect.not.objectContaining({ drain: expect.anything() })]);
  expect(await reconciling(at)).toMatchObject({ status: 'False', reason: 'UpToDate' });
});

it('a server beyond spec.replicas is deleted when it is drained, and listed until then', async () => {
  await using at = await operator();
  const [, pod] = await running(at, { replicas: 2 });
  if (pod === undefined) throw new Error('no second pod runs');
  await change(at, { replicas: 1 });
  expect(await status(at)).toMatchObject({
    servers: [
      { name: 'acme-0', state: 'Healthy' },
      { name: 'acme-1', state: 'Draining', drain: { reason: 'ScalingDown' } },
    ],
  });
  expect(await deploymentOf(at, 1)).toBeDefined();
  await says(at, 1, 0, 1);
  expect(await deploymentOf(at, 1)).toBeUndefined();
  await at.world.removePod(pod);
  await at.world.settle();
  expect((await status(at))?.servers).toHaveLength(1);
});

describe('a server whose node is cordoned', () => {
  const node = (unschedulable: boolean, resourceVersion: string): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1', uid: 'uid-of-n1', resourceVersion },
    spec: { unschedulable },
  });
  const replacedAt = async (at: Operator) =>
    (await deploymentOf(at))?.spec?.template.metadata?.annotations?.['copilot-operator.dev/replaced-at'];

  it('drains, and then another pod replaces its own, once', async () => {
    await using at = await operator();
    const { world, nodes } = at;
    nodes.set(node(false, '1'));
    const [first] = await running(at);
    if (first === undefined) throw new Error('no pod runs');
    await world.removePod(first);
    const pod = await world.startPod('acme', 0, {}, [], 'n1');
    await world.settle();
    expect((await world.get(PodDisruptionBudget, 'acme-servers'))?.spec?.maxUnavailable).toBe(0);
    nodes.set(node(true, '2'));
    await world.settle();
    const drain = { reason: 'NodeDraining', podUID: pod.metadata.uid };
    expect(await status(at)).toMatchObject({ servers: [{ state: 'Draining', drain }] });
    expect(await reconciling(at)).toMatchObject({ status: 'True', reason: 'Draining' });
    const epoch = (await drainOf(at))?.epoch ?? 0;
    await says(at, epoch, 1);
    expect(await replacedAt(at)).toBeUndefined();
    await says(at, epoch, 0);
    const moved = await replacedAt(at);
    expect(moved).toEqual(expect.any(String));
    // Nothing is scheduled to the node, so the next pod waits for another one, or for this one to be uncordoned.
    await world.removePod(pod);
    await world.observeDeployment('acme-0', { replicas: 1, updatedReplicas: 1 });
    await world.settle();
    expect((await status(at))?.servers?.[0]).not.toHaveProperty('drain');
    await world.startPod('acme', 0, {}, [], 'n2');
    await world.settle();
    expect([await replacedAt(at), await drainOf(at)]).toEqual([moved, undefined]);
  });

  it('serves again when the node is uncordoned before its turns have ended', async () => {
    await using at = await operator();
    const { world, nodes } = at;
    const [first] = await running(at);
    if (first === undefined) throw new Error('no pod runs');
    await world.removePod(first);
    await world.startPod('acme', 0, {}, [], 'n1');
    await world.settle();
    const before = await deploymentOf(at);
    nodes.set(node(true, '1'));
    await world.settle();
    expect(await drainOf(at)).toMatchObject({ reason: 'NodeDraining' });
    expect(await readiness(at)).toBe('True ServersReady');
    nodes.set(node(false, '2'));
    await world.settle();
    expect(await drainOf(at)).toBeUndefined();
    expect((await deploymentOf(at))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
  });
});

it('a server that has run for spec.server.recycle.maxAge drains, and a fresh one replaces it, once', async () => {
  await using at = await operator();
  const [pod] = await running(at);
  if (pod === undefined) throw new Error('no pod runs');
  const before = await deploymentOf(at);
  await change(at, { server: { recycle: { maxAge: '10m' } } });
  expect((await deploymentOf(at))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
  await at.world.advance(11 * 60_000);
  await at.world.settle();
  expect(await drainOf(at)).toMatchObject({ reason: 'Recycling', podUID: pod.metadata.uid });
  expect(await readiness(at)).toBe('True ServersReady');
  await says(at, 1, 0);
  const { annotations } = (await deploymentOf(at))?.spec?.template.metadata ?? {};
  expect(annotations).toHaveProperty(['copilot-operator.dev/replaced-at']);
  expect(at.world.events).toContain('Normal ServerRecycled');
  await at.world.removePod(pod);
  await at.world.startPod('acme', 0);
  await at.world.settle();
  answers(at.world);
  await at.world.reconcile('acme');
  await at.world.settle();
  expect((await deploymentOf(at))?.spec?.template.metadata?.annotations).toEqual(annotations);
});
