// The bound of what is kept of all tenants: who is refused, and that nobody else is.
import { describe, expect, it } from '@jest/globals';
import { KeptMemory } from '../../../../src/gateway/relay/kept-memory.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { RelayWorld } from '../../../support/relay-world.ts';

/** A tenant that keeps everything that it may, until `freed`. */
function tenantOf(memory: KeptMemory) {
  let kept = 0;
  let measured = 0;
  const account = memory.open(() => {
    measured += 1;
    return kept;
  });
  return {
    keep: (bytes: number): boolean => {
      const may = account.mayKeep(bytes);
      if (may) kept += bytes;
      return may;
    },
    free: (bytes: number) => void (kept -= bytes),
    close: () => account.close(),
    get kept() {
      return kept;
    },
    get measured() {
      return measured;
    },
  };
}

describe('the memory of all tenants', () => {
  it('is for one alone as a whole, and refuses it more', () => {
    const tenant = tenantOf(new KeptMemory({ total: 100, clock: new FakeClock() }));
    expect([60, 40, 1].map((bytes) => tenant.keep(bytes))).toEqual([true, true, false]);
  });

  it('leaves each tenant its fair share, whatever one has taken before', async () => {
    const clock = new FakeClock();
    const memory = new KeptMemory({ total: 100, clock });
    const hostile = tenantOf(memory);
    while (hostile.keep(1)) await clock.advance(200);
    const others = Array.from({ length: 4 }, () => tenantOf(memory));
    await clock.advance(200);
    for (const other of others) expect([other.keep(10), hostile.keep(1)]).toEqual([true, false]);
    // Five tenants have a fifth each, and what was kept before stays.
    expect(others.map((other) => [other.keep(10), other.keep(1)])).toEqual(others.map(() => [true, false]));
    expect(hostile.kept).toBe(100);
    expect([hostile, ...others].reduce((sum, { kept }) => sum + kept, 0)).toBeLessThanOrEqual(200);
  });

  it('has room again for what was freed, or what a tenant that is gone had', async () => {
    const clock = new FakeClock();
    const memory = new KeptMemory({ total: 100, clock });
    const [first, second] = [tenantOf(memory), tenantOf(memory)];
    expect([first.keep(100), first.keep(1)]).toEqual([true, false]);
    first.free(50);
    await clock.advance(200);
    expect([first.keep(50), first.keep(1)]).toEqual([true, false]);
    first.close();
    await clock.advance(200);
    expect(second.keep(100)).toBe(true);
  });

  it('is measured only when what was allowed may be too much, and not for each refusal', async () => {
    const clock = new FakeClock();
    const tenant = tenantOf(new KeptMemory({ total: 1000, clock }));
    for (let count = 0; count < 1000; count += 1) tenant.keep(1);
    expect(tenant.measured).toBe(0);
    for (let count = 0; count < 1000; count += 1) tenant.keep(1);
    expect(tenant.measured).toBe(1);
    await clock.advance(200);
    tenant.keep(1);
    expect(tenant.measured).toBe(2);
  });
});

describe('a tenant that keeps too much', () => {
  const big = 'x'.repeat(10_000);

  it.each<[string, (world: RelayWorld) => Promise<void>]>([
    [
      'requests that its server does not answer',
      async (world) => {
        const client = world.client();
        for (let count = 0; count < 20; count += 1) client.call('session.list', { big });
        await settle();
      },
    ],
    [
      'declarations',
      async (world) => {
        for (let count = 0; count < 20; count += 1) {
          const id = world.client().call('session.resume', { sessionId: `s${count}`, tools: [{ name: big }] });
          await settle();
          const asked = world.dials.at(-1)?.received.findLast(({ method }) => method === 'session.resume');
          if (asked?.params?.['sessionId'] === `s${count}`) world.server.answer(asked.id, { sessionId: `s${count}` });
          await world.clock.advance(200);
          expect(id).toBe(1);
        }
      },
    ],
    [
      'questions that nobody answers',
      async (world) => {
        const client = await world.attached('s', { requestUserInput: true });
        for (let id = 100; id < 120; id += 1) world.server.request(id, 'userInput.request', { sessionId: 's', big });
        client.received.length = 0;
      },
    ],
  ])('(%s) is refused and told to try again, and another one is not', async (_, take) => {
    const world = new RelayWorld({ keptBytes: 100_000, permissionTimeoutMs: 1e9, detachAfterMs: 1e9 });
    await take(world);
    await world.clock.advance(200);
    const client = world.client();
    const id = client.call('session.mode.get', { sessionId: 'x', big: big.repeat(5) });
    await settle();
    expect(client.answer(id)?.error).toEqual({ code: -32000, message: expect.stringContaining('try again') });
    expect(await world.counted('refused_calls_total')).toMatchObject({ MemoryLimit: expect.any(Number) });
    const other = world.client({ namespace: 'team', name: 'other' });
    const served = other.call('session.mode.get', { sessionId: 'x', big });
    await settle();
    expect(other.answer(served)?.error?.code).not.toBe(-32000);
  });
});
