import { beforeEach, describe, expect, it } from '@jest/globals';
import type { GatewayServer, TenantSleep } from '../../../../src/gateway/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { TENANT } from '../../../support/static-fleet.ts';
import { RelayWorld } from '../../../support/relay-world.ts';

const MINUTE = 60_000;

let world: RelayWorld;
let server: GatewayServer;

const sleeps = (phase: TenantSleep['phase'], epoch = 1, failure?: TenantSleep['failure']) => ({
  sleep: { afterIdleMs: 15 * MINUTE, wakeTimeoutMs: 2 * MINUTE, phase, epoch, failure },
});
function become(phase: TenantSleep['phase'], epoch: number, change: Parameters<typeof world.fleet.change>[0] = {}) {
  world.fleet.change({ ...sleeps(phase, epoch), ...change });
  return settle();
}
const idleMs = () => world.relay.uses().idle.find(({ name }) => name === TENANT.name)?.idleMs;

beforeEach(async () => {
  world = new RelayWorld();
  const [found] = world.fleet.find(TENANT)?.servers ?? [];
  if (found === undefined) throw new Error('the tenant has no server');
  server = found;
  await become('Stopped', 4, { servers: [] });
});

describe('a tenant that sleeps', () => {
  it('is waited for by a call about a session, which is answered when a server serves', async () => {
    const client = world.client();
    client.call('session.create');
    await settle();
    expect([world.wakesWanted, world.relay.wakes()]).toEqual([1, [{ ...TENANT, epoch: 4 }]]);
    expect(world.dials).toHaveLength(0);
    await become('Waking', 5);
    expect(world.dials).toHaveLength(0);
    await become('Waking', 5, { servers: [server] });
    expect(world.server.count('session.create')).toBe(1);
    expect(world.relay.wakes()).toEqual([]);
  });

  it('is connected to before the kubelet says that it serves', async () => {
    const client = world.client();
    client.call('session.create');
    await become('Waking', 5, { starting: [server] });
    expect(world.server.count('session.create')).toBe(1);
  });

  it('is not dialled early for nobody', async () => {
    await become('Waking', 5, { starting: [server] });
    expect(world.dials).toHaveLength(0);
  });

  it('tells its version', async () => {
    const client = world.client();
    const call = client.call('status.get');
    await settle();
    expect(client.answer(call)?.result).toEqual({ version: '1.0.102', protocolVersion: 3 });
    expect(world.wakesWanted).toBe(0);
  });

  it('answers pings, and refuses lists with an error that says what wakes it', async () => {
    const client = world.client();
    const [ping, list] = [client.call('ping'), client.call('session.list')];
    await settle();
    expect(client.answer(ping)).toHaveProperty('result');
    expect(client.answer(list)?.error).toMatchObject({
      code: -32050,
      message: 'tenant team/acme sleeps, and this call does not wake it: a call about a session does',
      data: { retryable: true, outcome: 'NotSent' },
    });
    expect(world.wakesWanted).toBe(0);
  });

  it('is told to a client that has waited in vain, with the reason if no operator could be asked', async () => {
    const client = world.client();
    const waits = async (): Promise<string | undefined> => {
      const call = client.call('session.create');
      await world.clock.advance(5 * MINUTE);
      return client.answer(call)?.error?.message;
    };
    expect(await waits()).toBe('tenant team/acme did not wake within 300 s');
    // Such as while the operator is away for an hour.
    world.wakes.isHeard = false;
    expect(await waits()).toBe(
      'tenant team/acme did not wake within 300 s: the operator, which starts its servers, does not answer',
    );
    await world.clock.advance(50 * MINUTE);
    world.wakes.isHeard = true;
    client.call('session.create');
    await become('Waking', 5, { servers: [server] });
    expect(world.server.count('session.create')).toBe(1);
  });

  it('is forgotten by a client that leaves', async () => {
    const client = world.client();
    client.call('session.create');
    client.leave();
    await become('Waking', 5, { servers: [server] });
    expect([world.relay.wakes(), world.dials.length]).toEqual([[], 0]);
  });

  it('and could not be woken is an error with the reason', async () => {
    const client = world.client();
    const call = client.call('session.create');
    await become('Stopping', 6, sleeps('Stopping', 6, { epoch: 6, message: 'no image' }));
    expect(client.answer(call)?.error?.message).toBe('tenant team/acme could not be woken: no image');
    expect(world.relay.wakes()).toEqual([]);
  });
});

describe('a tenant that is put to sleep', () => {
  const drains = (comesBack = true) => ({
    drains: [{ server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs: MINUTE, comesBack }],
  });
  const isDrained = () => world.relay.drains().map((drain) => drain.isDrained);

  beforeEach(() => become('Running', 7, { servers: [server] }));

  it('was left by this replica if nobody has used it for so long', async () => {
    const client = await world.attached('s');
    client.leave();
    await world.clock.advance(15 * MINUTE);
    await become('Draining', 8, drains());
    await world.clock.advance(7_000);
    expect([isDrained(), world.relay.wakes()]).toEqual([[true], []]);
  });

  it('is kept by a use that the operator has not heard of', async () => {
    const client = await world.attached('s');
    await world.clock.advance(20 * MINUTE);
    client.leave();
    await world.clock.advance(MINUTE);
    await become('Draining', 8, drains());
    await world.clock.advance(7_000);
    expect([isDrained(), world.relay.wakes()]).toEqual([[false], [{ ...TENANT, epoch: 8 }]]);
  });

  it('is kept by a call that comes meanwhile, which passes when it runs on', async () => {
    await world.clock.advance(15 * MINUTE);
    await become('Draining', 8, drains());
    await world.clock.advance(7_000);
    expect(isDrained()).toEqual([true]);
    const client = world.client();
    client.call('session.create');
    await settle();
    expect([isDrained(), world.relay.wakes()]).toEqual([[false], [{ ...TENANT, epoch: 8 }]]);
    await become('Running', 9, { drains: undefined });
    expect(world.server.count('session.create')).toBe(1);
  });
});

describe('the time for which a tenant is unused', () => {
  beforeEach(() => become('Running', 7, { servers: [server] }));

  it('is counted for a tenant that never sleeps, too: it may be told to, and is not unused then', async () => {
    world.fleet.change({ sleep: undefined });
    const client = await world.attached('s');
    await world.clock.advance(60 * MINUTE);
    expect(idleMs()).toBe(0);
    client.leave();
    await world.clock.advance(MINUTE);
    await become('Running', 1, { servers: [server] });
    expect(idleMs()).toBe(MINUTE);
  });

  it('is not counted for a tenant that is gone', async () => {
    const client = await world.attached('s');
    client.leave();
    world.fleet.delete();
    await settle();
    expect(world.relay.uses().idle).toEqual([]);
  });

  it('begins when the last client leaves its session', async () => {
    const client = await world.attached('s');
    await world.clock.advance(5 * MINUTE);
    expect(idleMs()).toBe(0);
    client.leave();
    await world.clock.advance(5 * MINUTE);
    expect(idleMs()).toBe(5 * MINUTE);
  });

  it('goes on with pings, lists and clients that are connected only', async () => {
    const client = await world.attached('s');
    client.leave();
    await world.clock.advance(5 * MINUTE);
    const other = world.client();
    other.call('ping');
    other.call('session.list');
    await world.clock.advance(MINUTE);
    expect(idleMs()).toBe(6 * MINUTE);
  });

  it('begins with the end of a turn that runs without a client', async () => {
    const client = await world.attached('s');
    client.call('session.send', { sessionId: 's', prompt: 'go' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    world.server.event('s', 'user.message', { messageId: 'm', content: 'go' });
    client.leave();
    await world.clock.advance(5 * MINUTE);
    expect(idleMs()).toBe(0);
    world.server.event('s', 'session.idle');
    await world.clock.advance(2 * MINUTE);
    expect(idleMs()).toBe(2 * MINUTE);
  });

  it('is as long as this replica runs for one that was never used', async () => {
    await world.clock.advance(3 * MINUTE);
    expect(world.relay.uses()).toEqual({ upMs: 3 * MINUTE, idle: [], heldTurns: [], places: [] });
  });
});
