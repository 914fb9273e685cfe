// The operator is away for an hour, in whatever moment, and its clock is set by an hour, on a real API server. The pods, and what the
// gateway says, are played.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, type Pod, Secret } from '../../../src/kube/types/builtins.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { type SleepOperator, SleepWorld } from '../../support/sleep-world.ts';

jest.setTimeout(120_000);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
let gateway: SleepWorld;

beforeAll(async () => {
  gateway = await SleepWorld.start();
}, 90_000);
afterAll(() => gateway[Symbol.asyncDispose]());

/** The operator that comes back after an hour, to which the gateway has not said anything yet. */
async function backAfterAnHour(former: SleepOperator): Promise<SleepOperator & AsyncDisposable> {
  gateway.idleMs = undefined;
  const next = await gateway.operator(former, HOUR);
  await next.filled();
  return next;
}

/** A tenant that nobody has used for two minutes. Returns its pod. */
async function draining(at: SleepOperator): Promise<Pod> {
  const pod = await at.used();
  await at.unused();
  expect(await at.state()).toBe('False FallingAsleep Draining 1');
  return pod;
}

async function asleep(at: SleepOperator): Promise<void> {
  const pod = await draining(at);
  await at.says(1);
  await at.stopped(pod);
  expect(await at.state()).toBe('True Idle Stopped 0');
}

async function waking(at: SleepOperator): Promise<void> {
  await asleep(at);
  await at.asked((await at.status())?.hibernation?.epoch ?? 0);
  expect(await at.state()).toBe('False Waking Waking 1');
}

const generation = async ({ world }: SleepOperator) => (await world.get(Deployment, 'acme-0'))?.metadata.generation;

describe('an operator that was away for an hour', () => {
  it('does not put a tenant to sleep before the gateway has said that nobody uses it', async () => {
    await using former = await gateway.operator();
    await former.used();
    await using at = await backAfterAnHour(former);
    await at.answers();
    expect(await at.state()).toBe('False AwaitingGateway undefined 1');
    await at.world.advance(5 * MINUTE);
    expect(await at.state()).toBe('False AwaitingGateway undefined 1');
    gateway.idleMs = 2 * MINUTE;
    await at.reconciled();
    expect(await at.state()).toBe('False FallingAsleep Draining 1');
  });

  it('takes back the sleep that had begun, and begins anew when nobody uses the tenant', async () => {
    await using former = await gateway.operator();
    await draining(former);
    await using at = await backAfterAnHour(former);
    expect([await at.state(), await at.drain()]).toEqual(['False AwaitingGateway Running 1', undefined]);
    await at.answers();
    gateway.idleMs = 2 * MINUTE;
    await at.reconciled();
    expect(await at.state()).toBe('False InUse Running 1');
    await at.world.advance(2 * MINUTE);
    await at.world.settle();
    expect(await at.state()).toBe('False FallingAsleep Draining 1');
  });

  it('wakes a tenant if somebody still waits, and only then', async () => {
    await using former = await gateway.operator();
    await asleep(former);
    await using at = await backAfterAnHour(former);
    expect(await at.state()).toBe('True Idle Stopped 0');
    await at.world.advance(5 * MINUTE);
    expect(await at.state()).toBe('True Idle Stopped 0');
    await at.asked((await at.status())?.hibernation?.epoch ?? 0);
    expect(await at.state()).toBe('False Waking Waking 1');
  });

  it('leaves a tenant awake that was being woken, and that its clients use since', async () => {
    await using former = await gateway.operator();
    await waking(former);
    await former.world.startPod('acme', 0);
    await using at = await backAfterAnHour(former);
    expect(await at.state()).toMatch(/ Running 1$/);
    await at.answers();
    expect(await at.state()).toBe('False AwaitingGateway Running 1');
  });

  it('waits for the server of such a tenant that is restarted in that moment', async () => {
    await using former = await gateway.operator();
    await waking(former);
    const pod = await former.world.startPod('acme', 0);
    await former.world.removePod(pod);
    await using at = await backAfterAnHour(former);
    expect(await at.state()).toBe('False Waking Waking 1');
    await at.runs();
    expect(await at.state()).toBe('False InUse Running 1');
    expect(at.world.counted).toContain('wake Awake');
  });

  it('still tells a wake that cannot succeed', async () => {
    await using former = await gateway.operator();
    await waking(former);
    await using at = await backAfterAnHour(former);
    expect(await at.state()).toBe('False Waking Waking 1');
    await at.world.advance(10 * MINUTE);
    await at.world.settle();
    expect((await at.state()).endsWith(' 0')).toBe(true);
    expect((await at.status())?.hibernation?.failure?.message).toMatch(/did not start within/);
  });

  it('which ends again and again still tells a wake that cannot succeed', async () => {
    await using former = await gateway.operator();
    await waking(former);
    const processes: (SleepOperator & AsyncDisposable)[] = [];
    let at: SleepOperator = former;
    // Each lives for less than wakeTimeout.
    for (let n = 0; n < 10 && !(await at.state()).endsWith(' 0'); n += 1) {
      const next = await gateway.operator(at, MINUTE);
      processes.push(next);
      await next.filled();
      await next.world.advance(20_000);
      await next.reconciled();
      at = next;
    }
    expect((await at.state()).endsWith(' 0')).toBe(true);
    expect((await at.status())?.hibernation?.failure?.message).toMatch(/did not start within/);
    for (const each of processes) await each[Symbol.asyncDispose]();
  });

  it.each<[what: string, change: (at: SleepOperator) => Promise<unknown>]>([
    [
      'a new image',
      ({ world }) => world.patch(CopilotTenant, 'acme', { spec: { server: { image: 'example.com/x:2' } } }),
    ],
    [
      'a token that is rotated',
      async ({ world }) => {
        const { uid = '' } = (await world.client.get(Secret, world.ref('acme-token'))).metadata;
        return world.client.delete(Secret, world.ref('acme-token'), { uid });
      },
    ],
  ])('drains a server anew for %s, because turns run there by now', async (_what, change) => {
    await using former = await gateway.operator();
    const pod = await former.used();
    await change(former);
    await former.world.settle();
    await former.reconciled();
    expect(await former.drain()).toMatchObject({ epoch: 1, podUID: pod.metadata.uid });
    const before = await generation(former);
    await using at = await backAfterAnHour(former);
    await at.answers();
    expect(await at.drain()).toMatchObject({ epoch: 2, podUID: pod.metadata.uid });
    await at.says(2, 1);
    expect([await generation(at), (await at.drain())?.turns]).toEqual([before, 1]);
    await at.says(2);
    expect(await generation(at)).not.toBe(before);
  });

  it('drains a server for what was changed meanwhile, and does not replace it at once', async () => {
    await using former = await gateway.operator();
    await former.used();
    const before = await generation(former);
    await former.world.patch(CopilotTenant, 'acme', { spec: { server: { image: 'example.com/x:2' } } });
    await using at = await backAfterAnHour(former);
    await at.answers();
    expect([await generation(at), (await at.drain())?.epoch]).toEqual([before, 1]);
  });
});

describe.each([HOUR, -HOUR])('a clock that is set by %i ms', (byMs) => {
  it('ends no wake', async () => {
    await using at = await gateway.operator();
    await waking(at);
    at.world.clock.jumpWallClock(byMs);
    await at.reconciled();
    expect(await at.state()).toBe('False Waking Waking 1');
    await at.runs();
    expect(at.world.counted).toContain('wake Awake');
  });

  it('cuts no turns of a server that drains', async () => {
    await using at = await gateway.operator();
    await at.used();
    await at.world.patch(CopilotTenant, 'acme', { spec: { server: { image: 'example.com/x:2' } } });
    await at.world.settle();
    const before = await generation(at);
    await at.says(1, 1);
    at.world.clock.jumpWallClock(byMs);
    await at.reconciled();
    await at.world.advance(4 * MINUTE);
    const epoch = (await at.drain())?.epoch ?? 0;
    await at.says(epoch, 1);
    expect(await generation(at)).toBe(before);
    await at.says(epoch);
    expect(await generation(at)).not.toBe(before);
  });

  it('neither stops a tenant that is used nor keeps one awake that is not', async () => {
    await using at = await gateway.operator();
    await at.used();
    at.world.clock.jumpWallClock(byMs);
    await at.reconciled();
    expect(await at.state()).toBe('False InUse undefined 1');
    await at.unused();
    expect(await at.state()).toBe('False FallingAsleep Draining 1');
    at.world.clock.jumpWallClock(-byMs);
    await at.reconciled();
    expect((await at.state()).endsWith(' 1')).toBe(true);
  });
});
