import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { WorkQueue } from '../../../../src/kube/runtime/work-queue.ts';
import { coalescedDeadline } from '../../../../src/kube/clock/coalesce.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

function newQueue(): { clock: FakeClock; queue: WorkQueue } {
  const clock = new FakeClock();
  return { clock, queue: new WorkQueue({ clock }) };
}

describe('the work queue', () => {
  it('returns keys in the order they were added', async () => {
    const { queue } = newQueue();
    queue.add('a');
    queue.add('b');
    expect([await queue.get(), await queue.get()]).toEqual(['a', 'b']);
  });

  it('holds a key once however often it is added', async () => {
    const { queue } = newQueue();
    for (let i = 0; i < 3; i++) queue.add('a');
    expect(queue.length).toBe(1);
    queue.done((await queue.get()) ?? '');
    expect(queue.length).toBe(0);
  });

  it('gives a key that was added during its own work out again, once, after that work', async () => {
    const { queue } = newQueue();
    queue.add('a');
    await queue.get();
    queue.add('a');
    queue.add('a');
    expect(queue.length).toBe(0);
    queue.done('a');
    expect(queue.length).toBe(1);
  });

  it('wakes a worker that waits', async () => {
    const { queue } = newQueue();
    const next = queue.get();
    queue.add('a');
    expect(await next).toBe('a');
  });

  it('has events that arrive together worked on once, even if a worker waits', async () => {
    const { queue } = newQueue();
    const next = queue.get();
    queue.add('a');
    queue.add('a');
    queue.done((await next) ?? '');
    expect(queue.length).toBe(0);
  });

  it('retries what failed without the rest of its back-off, and nothing else', async () => {
    const { clock, queue } = newQueue();
    for (let failures = 0; failures < 12; failures++) queue.addRateLimited('failed');
    for (let failures = 0; failures < 12; failures++) queue.addRateLimited('failed-and-succeeded');
    await clock.advance(30_000);
    for (const key of ['failed', 'failed-and-succeeded']) queue.done((await queue.get()) ?? key);
    queue.forget('failed-and-succeeded');
    queue.addRateLimited('failed');
    queue.addAfter('failed-and-succeeded', 40_000);
    queue.retryFailed(() => 1_000);
    await clock.advance(1_000);
    expect(queue.length).toBe(1);
    expect(await queue.get()).toBe('failed');
  });

  it('delays a key, and of two delays keeps the one that ends first', async () => {
    const { clock, queue } = newQueue();
    queue.addAfter('a', 5_000);
    queue.addAfter('a', 1_000);
    queue.addAfter('a', 9_000);
    await clock.advance(999);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(queue.length).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('has one timer of the clock for all long waits, which end when they would alone', async () => {
    const { clock, queue } = newQueue();
    const start = clock.monotonic();
    const delays = [50_500, 46_000, 50_000];
    for (const ms of delays) queue.addAfter(`after ${ms}`, ms);
    expect(clock.pendingTimers).toBe(1);
    const ends = delays.map((ms) => coalescedDeadline(start, ms) - start).toSorted((a, b) => a - b);
    for (const [ended, end] of ends.entries()) {
      await clock.advance(start + end - 1 - clock.monotonic());
      expect(queue.length).toBe(ended);
      await clock.advance(1);
      expect(queue.length).toBe(ended + 1);
    }
    expect(clock.pendingTimers).toBe(0);
  });

  it('keeps a delay of more than 24.8 days, the longest timer of the platform', async () => {
    const { clock, queue } = newQueue();
    const setTimer = clock.setTimer.bind(clock);
    clock.setTimer = (ms, fn) => setTimer(Math.min(ms, 2 ** 31 - 1), fn);
    const thirtyDays = 30 * 86_400_000;
    queue.addAfter('a', thirtyDays);
    await clock.advance(thirtyDays - 1);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(queue.length).toBe(1);
  });

  it('starts the back-off of a key again once it is forgotten, and leaves that of others alone', async () => {
    const { clock, queue } = newQueue();
    for (let i = 0; i < 10; i++) queue.addRateLimited('a');
    queue.addRateLimited('b');
    expect([queue.numRequeues('a'), queue.numRequeues('b')]).toEqual([10, 1]);
    queue.forget('a');
    expect([queue.numRequeues('a'), queue.numRequeues('b')]).toEqual([0, 1]);
    await clock.advance(5);
    expect(queue.length).toBe(2);
  });

  it('waits at least for the Retry-After of the API server', async () => {
    const { clock, queue } = newQueue();
    queue.addRateLimited('a', 30_000);
    await clock.advance(29_999);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(queue.length).toBe(1);
  });

  it('leaves no timer and no waiting worker behind when shut down, and takes no key after it', async () => {
    const { clock, queue } = newQueue();
    const waiting = [queue.get(), queue.get()];
    queue.addAfter('a', 1_000);
    queue.addRateLimited('b');
    queue.shutDown();
    expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
    queue.add('c');
    queue.addAfter('d', 10);
    queue.addRateLimited('e');
    expect(await queue.get()).toBeUndefined();
    expect([queue.length, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('reports how long each key has been worked on', async () => {
    const { clock, queue } = newQueue();
    queue.add('a');
    await queue.get();
    await clock.advance(700);
    expect(queue.inProgressMs()).toEqual([700]);
    queue.done('a');
    expect(queue.inProgressMs()).toEqual([]);
  });

  it('backs off 5 ms, doubling with each failure, to 1,000 s and no further', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 60 }), async (earlier) => {
        const { clock, queue } = newQueue();
        for (let i = 0; i < earlier; i++) {
          queue.addRateLimited('a');
          await clock.advance(clock.nextTimerIn ?? 0);
        }
        queue.done((await (queue.length ? queue.get() : undefined)) ?? '');
        queue.addRateLimited('a');
        expect(clock.nextTimerIn).toBe(
          coalescedDeadline(clock.monotonic(), Math.min(5 * 2 ** earlier, 1_000_000)) - clock.monotonic(),
        );
      }),
    );
  });
});

/** What the world may do to a queue with some workers; `start` and `finish` are the workers' own steps. */
type Step =
  | { do: 'add' | 'addRateLimited' | 'forget' | 'finish'; key: string }
  | { do: 'addAfter'; key: string; ms: number }
  | { do: 'advance'; ms: number }
  | { do: 'start' };

const key = fc.constantFrom('a', 'b', 'c');
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('add' as const, 'addRateLimited' as const, 'forget' as const), key }),
    fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constant('start' as const) }),
    fc.record({ do: fc.constant('finish' as const), key }),
  ),
  { maxLength: 80 },
);

describe('the work queue, whatever happens to it,', () => {
  it('never has a key with two workers, and never loses one', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const { clock, queue } = newQueue();
        const working = new Set<string>();
        /** Keys for which a worker must still start after their latest addition. */
        const owed = new Set<string>();
        const take = async (): Promise<void> => {
          const taken = (await queue.get()) ?? '';
          expect(working.has(taken)).toBe(false);
          working.add(taken);
          owed.delete(taken);
        };
        for (const step of script) {
          if (step.do === 'add') queue.add(step.key);
          else if (step.do === 'addRateLimited') queue.addRateLimited(step.key);
          else if (step.do === 'addAfter') queue.addAfter(step.key, step.ms);
          else if (step.do === 'forget') queue.forget(step.key);
          else if (step.do === 'advance') await clock.advance(step.ms);
          else if (step.do === 'start' && queue.length > 0) await take();
          else if (step.do === 'finish' && working.delete(step.key)) queue.done(step.key);
          if (step.do.startsWith('add') && 'key' in step) owed.add(step.key);
        }
        // Nothing more is added: whatever is still owed must be returned.
        await clock.advance(2_000_000);
        for (const taken of working) queue.done(taken);
        working.clear();
        while (queue.length > 0) {
          await take();
          for (const taken of working) queue.done(taken);
          working.clear();
        }
        expect([...owed]).toEqual([]);
        expect(clock.pendingTimers).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
