import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { sleepOn, systemClock } from '../../../../src/kube/clock/clock.ts';
import { CallContext } from '../../../../src/kube/client/call-context.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const request = { method: 'GET', path: '/x' };

describe('the context of a call', () => {
  it('ends it at the deadline', async () => {
    const clock = new FakeClock();
    using context = new CallContext(clock, request, 1000, undefined);
    await clock.advance(999);
    expect([context.signal.aborted, context.remainingMs()]).toEqual([false, 1]);
    await clock.advance(1);
    expect(context.signal.reason).toMatchObject({ failure: 'deadline', message: 'GET /x: no response within 1000 ms' });
  });

  it('ends it with the signal of the caller, which may have aborted already', () => {
    const clock = new FakeClock();
    const caller = new AbortController();
    using context = new CallContext(clock, request, 1000, caller.signal);
    caller.abort(new Error('shutting down'));
    expect(context.signal.reason).toMatchObject({ failure: 'aborted' });
    using late = new CallContext(clock, request, 1000, caller.signal);
    expect(late.signal.aborted).toBe(true);
  });

  it('has no deadline any more once that is lifted', async () => {
    const clock = new FakeClock();
    using context = new CallContext(clock, request, 1000, undefined);
    context.liftDeadline();
    await clock.advance(5000);
    expect(context.signal.aborted).toBe(false);
  });

  it('stops waiting for a promise that takes no signal', async () => {
    const clock = new FakeClock();
    using context = new CallContext(clock, request, 1000, undefined);
    const never = context.race(new Promise(() => undefined)).catch((error: unknown) => error);
    await clock.advance(1000);
    expect(await never).toMatchObject({ failure: 'deadline' });
    expect(await context.race(Promise.resolve(1)).catch((error: unknown) => error)).toMatchObject({
      failure: 'deadline',
    });
  });

  it('that has ended leaves no rejection without a handler, which would end the process', async () => {
    using context = new CallContext(new FakeClock(), request, 1000, AbortSignal.abort(new Error('shutting down')));
    const unhandled: unknown[] = [];
    const listener = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    try {
      const waiting = context.race(Promise.reject(new Error('no token file')));
      await expect(waiting).rejects.toMatchObject({ failure: 'aborted' });
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', listener);
    }
  });

  it('leaves neither a timer nor a listener behind: a signal of the process is used by many calls', async () => {
    const clock = new FakeClock();
    const process = new AbortController();
    for (let call = 0; call < 10; call++) {
      using context = new CallContext(clock, request, 1000, process.signal);
      await context.race(Promise.resolve());
      expect(getEventListeners(context.signal, 'abort')).toHaveLength(0);
    }
    expect(getEventListeners(process.signal, 'abort')).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a sleep', () => {
  it.each([
    ['fake', new FakeClock()],
    ['system', systemClock],
  ])('on the %s clock ends with its signal and cancels its timer', async (_, clock) => {
    const stop = new AbortController();
    const sleeping = sleepOn(clock, 60_000, stop.signal);
    stop.abort(new Error('stopped'));
    await expect(sleeping).rejects.toThrow('stopped');
    await expect(clock.sleep(60_000, stop.signal)).rejects.toThrow('stopped');
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
    if (clock instanceof FakeClock) expect(clock.pendingTimers).toBe(0);
  });

  it('leaves no listener behind when it has ended', async () => {
    const { signal } = new AbortController();
    await systemClock.sleep(1, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('of a month does not end at once', async () => {
    const fired: boolean[] = [];
    const timer = systemClock.setTimer(30 * 24 * 3_600_000, () => fired.push(true));
    await systemClock.sleep(20);
    timer.cancel();
    expect(fired).toEqual([]);
  });
});
