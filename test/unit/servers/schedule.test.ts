import { beforeEach, describe, expect, it } from '@jest/globals';
import { Schedule } from '../../../src/servers/schedule.ts';
import { TimerQueue } from '../../../src/kube/clock/timer-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';

describe('a schedule', () => {
  let clock: FakeClock;
  let due: number[];
  let dialDelayMs: number;
  let schedule: Schedule;
  beforeEach(() => {
    clock = new FakeClock();
    due = [];
    dialDelayMs = 0;
    schedule = new Schedule(
      { clock, timers: Object.assign(clock, { dueAt: (now: number, ms: number) => now + ms }), random: () => 0.5 },
      { dialDelayMs: () => dialDelayMs, onDue: () => due.push(clock.monotonic()) },
    );
  });

  it('has one run scheduled at a time', async () => {
    schedule.next(100);
    schedule.next(200);
    expect(schedule.dueAt).toBe(200);
    await clock.advance(1000);
    expect(due).toEqual([200]);
  });

  it.each([100, 10_000, 30_000, 300_000])('is due when its timer fires, after a wait of %d ms', async (ms) => {
    const runs: number[] = [];
    const options = { dialDelayMs: () => 0, onDue: () => runs.push(clock.monotonic()) };
    const coalesced = new Schedule({ clock, timers: new TimerQueue(clock), random: () => 0.5 }, options);
    await clock.advance(777);
    coalesced.next(ms);
    await clock.advance(ms * 2);
    expect(runs).toEqual([coalesced.dueAt]);
  });

  it('delays a run until the connection may be dialled', async () => {
    dialDelayMs = 300;
    schedule.next(100);
    await clock.advance(200);
    dialDelayMs = 0;
    await clock.advance(1000);
    expect(due).toEqual([400]);
  });

  it('returns at the end of a run whether its outcome still counts', () => {
    const first = schedule.begin();
    expect(schedule.isBusy).toBe(true);
    expect([first(), schedule.isBusy]).toEqual([true, false]);
    const second = schedule.begin();
    schedule.restart();
    expect([second(), schedule.isBusy]).toEqual([false, false]);
  });

  it('counts the time of failures from the first one, until a success or a restart', async () => {
    for (const end of [() => schedule.succeeded(), () => schedule.restart()]) {
      expect(schedule.failed('Unreachable', 10_000)).toBe(200);
      await clock.advance(8000);
      expect([schedule.failingMs, schedule.failed('Unreachable', 10_000)]).toEqual([8000, 2000]);
      end();
      expect(schedule.failingMs).toBe(0);
    }
  });

  it('has no run after it was stopped, even if one is scheduled then', async () => {
    const end = schedule.begin();
    schedule.next(100);
    schedule.stop();
    schedule.next(100);
    expect([end(), clock.pendingTimers]).toEqual([false, 0]);
    await clock.advance(1000);
    expect(due).toEqual([]);
  });
});
