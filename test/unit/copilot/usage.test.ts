import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { EMPTY_SUM, sumUsage, type EventUsage, type JournalEvent, type UsageMark } from '../../../src/copilot/index.ts';

const usage = (turns: number, inputTokens: number, outputTokens: number) => ({ turns, inputTokens, outputTokens });
const one = (turns: number, inputs: number, outputs: number): EventUsage => ({
  of: 'one',
  ...usage(turns, inputs, outputs),
});
const total = (turns: number, inputs: number, outputs: number): EventUsage => ({
  of: 'total',
  ...usage(turns, inputs, outputs),
});

/** A journal from its usages: undefined stands for an event without any. */
function journal(usages: (EventUsage | undefined)[], first = 'session.start'): JournalEvent[] {
  return [undefined, ...usages].map((of, index) => {
    const event = { id: `e${index}`, type: index === 0 ? first : 'assistant.message', at: index };
    return of === undefined ? event : { ...event, usage: of };
  });
}

/** Sums `events` in pages of `size`, as they would come from a server; returns the sum and how many pages it took. */
function sumIn(size: number, events: JournalEvent[], mark?: UsageMark) {
  let sum = EMPTY_SUM;
  let pages = 0;
  for (let end = events.length; !sum.done; end -= size) {
    pages += 1;
    sum = sumUsage(sum, { events: events.slice(Math.max(0, end - size), end), hasMore: end > size }, mark);
  }
  return { ...sum, pages };
}

describe('the usage of a session', () => {
  it.each([
    ['nothing', [], usage(0, 0, 0)],
    ['one call', [one(1, 10, 5)], usage(1, 10, 5)],
    ['several calls of one prompt, and sub-agents', [one(1, 10, 5), one(0, 20, 6), one(0, 3, 1)], usage(1, 33, 12)],
    ['the total of an unload', [one(1, 10, 5), total(1, 10, 5)], usage(1, 10, 5)],
    ['a total and calls since', [total(7, 70, 35), one(1, 10, 5), one(1, 1, 1)], usage(9, 81, 41)],
    ['the latest of several totals', [total(1, 1, 1), one(1, 5, 5), total(2, 6, 6), one(1, 2, 2)], usage(3, 8, 8)],
  ])('is summed up from %s', (_, usages, expected) => {
    expect(sumIn(1000, journal(usages))).toMatchObject({ usage: expected, done: true });
  });

  it('starts from zero where a client created a session under its id', () => {
    const again = [...journal([one(1, 100, 100)]), ...journal([one(1, 2, 3)])];
    expect(sumIn(1000, again).usage).toEqual(usage(1, 2, 3));
  });

  it("is complete at the journal's first event, also if that is not the session's start", () => {
    expect(sumIn(1000, journal([one(1, 2, 3)], 'user.message'))).toMatchObject({ usage: usage(1, 2, 3), done: true });
  });

  it('is the same in pages of any size, and from any event up to which it is known', () => {
    const event = fc.option(fc.tuple(fc.boolean(), fc.nat(9), fc.nat(99), fc.nat(99)), { nil: undefined });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), fc.nat(), (made, size, at) => {
        // Each total is what the calls before it came to, as a server writes it.
        let sofar = usage(0, 0, 0);
        const usages = made.map((each) => {
          if (each === undefined) return undefined;
          const [isTotal, turns, inputs, outputs] = each;
          if (isTotal) return { of: 'total' as const, ...sofar };
          sofar = usage(sofar.turns + turns, sofar.inputTokens + inputs, sofar.outputTokens + outputs);
          return one(turns, inputs, outputs);
        });
        const events = journal(usages);
        expect(sumIn(size, events).usage).toEqual(sofar);
        const before = events.slice(0, 1 + (at % events.length));
        const { newest = '', usage: known } = sumIn(1000, before);
        expect(sumIn(size, events, { eventId: newest, usage: known }).usage).toEqual(sofar);
      }),
    );
  });

  it('reads no further back than what is known', () => {
    const events = journal(Array.from({ length: 500 }, () => one(1, 1, 1)));
    expect(sumIn(10, events).pages).toBe(51);
    expect(sumIn(10, events, { eventId: 'e495', usage: usage(495, 495, 495) })).toMatchObject({
      usage: usage(500, 500, 500),
      pages: 1,
    });
  });

  it('stays unknown after an event up to which it is, until the server writes its total', () => {
    const unknown: UsageMark = { eventId: 'e1', usage: undefined };
    const events = journal([one(1, 1, 1), one(1, 2, 2)]);
    expect(sumIn(1000, events, unknown)).toMatchObject({ usage: undefined, done: true });
    expect(sumIn(1000, journal([one(1, 1, 1), one(1, 2, 2), total(2, 3, 3)]), unknown).usage).toEqual(usage(2, 3, 3));
  });

  it('is unknown when forged events add up to no whole number', () => {
    const most = Number.MAX_SAFE_INTEGER;
    expect(sumIn(1000, journal([one(1, most, 0), one(1, 1, 0)])).usage).toBeUndefined();
  });
});
