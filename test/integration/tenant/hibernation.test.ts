// A tenant that sleeps while nobody uses it, on a real API server. The pods, and what the gateway says, are played.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { SleepWorld } from '../../support/sleep-world.ts';

jest.setTimeout(120_000);

const MINUTE = 60_000;
let gateway: SleepWorld;

beforeAll(async () => {
  gateway = await SleepWorld.start();
}, 90_000);
afterAll(() => gateway[Symbol.asyncDispose]());

describe('a tenant that nobody uses', () => {
  it('is drained, stopped and woken, by one operator after the other', async () => {
    await using at = await gateway.operator();
    const pod = await at.used();
    expect(await at.state()).toBe('False InUse undefined 1');
    await at.unused();
    expect(await at.state()).toBe('False FallingAsleep Draining 1');
    expect(await at.drain()).toMatchObject({ reason: 'Hibernating', podUID: pod.metadata.uid });
    await at.says(1);
    expect(await at.state()).toBe('True Idle Stopping 0');
    await at.stopped(pod);
    await using next = await gateway.operator(at);
    await next.reconciled();
    expect(await next.state()).toBe('True Idle Stopped 0');
    await next.asked((await next.status())?.hibernation?.epoch ?? 0);
    expect(await next.state()).toBe('False Waking Waking 1');
    await next.runs();
    expect(await next.state()).toBe('False InUse Running 1');
    expect(next.world.counted).toContain('wake Awake');
  });

  it('goes on running if a client comes while it drains', async () => {
    await using at = await gateway.operator();
    await at.used();
    await at.unused();
    expect(await at.state()).toBe('False FallingAsleep Draining 1');
    await at.asked(1);
    expect(await at.state()).toBe('False InUse Running 1');
    expect((await at.status())?.servers?.[0]).not.toHaveProperty('drain');
  });

  it('stays awake as long after its servers could be used first as after a use', async () => {
    await using at = await gateway.operator();
    // As a gateway says of a tenant that it has never seen a use of.
    gateway.idleMs = 60 * MINUTE;
    await at.created();
    await at.world.advance(10 * MINUTE);
    await at.runs();
    expect(await at.state()).toBe('False InUse undefined 1');
    const before = (await at.world.tenant('acme')).metadata.resourceVersion;
    await at.world.advance(MINUTE - 10_000);
    await at.reconciled();
    expect((await at.world.tenant('acme')).metadata.resourceVersion).toBe(before);
    await using next = await gateway.operator(at);
    await next.filled();
    await next.answers();
    expect(await next.state()).toBe('False InUse undefined 1');
    await next.world.advance(20_000);
    await next.reconciled();
    expect(await next.state()).toBe('False FallingAsleep Draining 1');
  });

  it('stays awake as long after it was resumed', async () => {
    await using at = await gateway.operator();
    const pod = await at.used();
    await at.world.patch(CopilotTenant, 'acme', { spec: { suspend: true } });
    await at.world.settle();
    await at.says(1);
    await at.stopped(pod);
    await at.world.advance(60 * MINUTE);
    gateway.idleMs = 60 * MINUTE;
    await at.world.patch(CopilotTenant, 'acme', { spec: { suspend: false } });
    await at.world.settle();
    await at.runs();
    expect((await at.state()).startsWith('False InUse')).toBe(true);
    await at.unused();
    expect(await at.state()).toBe('False FallingAsleep Draining 1');
  });

  it('cannot be one whose clients connect directly', async () => {
    await using at = await gateway.operator();
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
