import { beforeEach, describe, expect, it } from '@jest/globals';
import { Wakes } from '../../../src/tenant/wakes.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const ref = (name: string) => ({ namespace: 'team', name });
const ask = (name: string, epoch = 1) => ({ ...ref(name), epoch });

let clock: FakeClock;
/** As the cache shows them. */
let waking: string[];
let told: string[];
let wakes: Wakes;

beforeEach(() => {
  [clock, waking, told] = [new FakeClock(), [], []];
  wakes = new Wakes({ clock, max: 2, waking: () => waking });
  wakes.onChange(({ name }) => told.push(name));
});

describe('the tenants that clients wait for', () => {
  it('are told at once, and are forgotten when the gateway asks no more', async () => {
    wakes.ask([ask('a')]);
    expect(told).toEqual(['a']);
    await clock.advance(5_000);
    expect(wakes.isAsked(ref('a'), 1)).toBe(true);
    await clock.advance(1);
    expect(wakes.isAsked(ref('a'), 1)).toBe(false);
  });

  it('are those that were asked for in the state in which they are: what was asked before is over', () => {
    wakes.ask([ask('a', 3)]);
    expect([wakes.isAsked(ref('a'), 3), wakes.isAsked(ref('a'), 4)]).toEqual([true, false]);
    wakes.ask([ask('a', 4)]);
    expect(wakes.isAsked(ref('a'), 4)).toBe(true);
    expect(told).toEqual(['a', 'a']);
  });

  it('start so many at a time, in the order in which they came, however often some are asked for', () => {
    wakes.ask(['a', 'b', 'c', 'd'].map((name) => ask(name)));
    wakes.ask([ask('d'), ask('c')]);
    expect(['d', 'c', 'b', 'a'].map((name) => wakes.takePlace(ref(name)))).toEqual([false, false, true, true]);
    expect(wakes.counts()).toEqual({ waiting: 2, waking: 2 });
    wakes.settle(ref('a'), 'Waking');
    told = [];
    wakes.settle(ref('b'), 'Running');
    expect(told).toEqual(['c']);
    expect([wakes.takePlace(ref('d')), wakes.takePlace(ref('c'))]).toEqual([false, true]);
  });

  it('wait for those that another process has begun to wake', () => {
    waking = ['team/x', 'team/y'];
    wakes.ask([ask('a')]);
    expect(wakes.takePlace(ref('a'))).toBe(false);
    waking = ['team/x'];
    told = [];
    wakes.freed();
    expect(told).toEqual(['a']);
    expect(wakes.takePlace(ref('a'))).toBe(true);
  });

  it('keep a place until the cache shows it, but not for ever', async () => {
    wakes.ask([ask('a')]);
    expect(wakes.takePlace(ref('a'))).toBe(true);
    expect(wakes.takePlace(ref('a'))).toBe(true);
    expect(wakes.counts().waking).toBe(1);
    await clock.advance(30_001);
    expect(wakes.counts().waking).toBe(0);
  });

  it('lose their turn when their clients leave', async () => {
    wakes.ask(['a', 'b', 'c'].map((name) => ask(name)));
    await clock.advance(4_000);
    wakes.ask([ask('c')]);
    await clock.advance(2_000);
    expect(wakes.counts()).toEqual({ waiting: 1, waking: 0 });
    expect(wakes.takePlace(ref('c'))).toBe(true);
  });

  it('wait behind others when they have had their turn and did not start, and are not told of it every second', async () => {
    const names = ['paused', 'deleted', 'a', 'b'];
    wakes.ask(names.map((name) => ask(name)));
    told = [];
    for (let second = 0; second < 5; second += 1) {
      await clock.advance(1_000);
      wakes.settle(ref('paused'), 'Asleep');
      wakes.ask(names.map((name) => ask(name)));
    }
    expect(told).toEqual(['a', 'b']);
    expect([wakes.takePlace(ref('a')), wakes.takePlace(ref('b'))]).toEqual([true, true]);
    wakes.settle(ref('a'), 'Running');
    expect(told).toEqual(['a', 'b', 'deleted']);
  });

  it('are told again of a place that is free when they had none', () => {
    waking = ['team/x', 'team/y'];
    wakes.ask([ask('a')]);
    waking = ['team/x'];
    told = [];
    wakes.ask([ask('a')]);
    expect(told).toEqual(['a']);
  });

  it('are told once of what is asked again while they are being started', async () => {
    wakes.ask([ask('a')]);
    wakes.takePlace(ref('a'));
    for (let second = 0; second < 10; second += 1) {
      wakes.settle(ref('a'), 'Waking');
      await clock.advance(1_000);
      wakes.ask([ask('a')]);
    }
    expect(told).toEqual(['a']);
    expect(wakes.counts()).toEqual({ waiting: 0, waking: 1 });
    wakes.settle(ref('a'), 'Asleep');
    expect(wakes.isAsked(ref('a'), 2)).toBe(false);
  });

  it('take so long as this process says that has begun them, whatever the wall clock says', async () => {
    wakes.settle(ref('a'), 'Begun');
    await clock.advance(60_000);
    wakes.settle(ref('a'), 'Waking');
    expect(wakes.waking(ref('a'), 3_600_000)).toEqual({ wakingMs: 60_000, foundAtMs: 0 });
    wakes.settle(ref('a'), 'Asleep');
    wakes.settle(ref('a'), 'Begun');
    await clock.advance(1_000);
    expect(wakes.waking(ref('a'), 0)).toEqual({ wakingMs: 1_000, foundAtMs: 0 });
  });

  it('that another process has begun take so long as the wall clock said when this one heard of them, and go on from there', async () => {
    expect(wakes.waking(ref('a'), 90_000)).toEqual({ wakingMs: 90_000, foundAtMs: 90_000 });
    wakes.settle(ref('a'), 'Waking');
    await clock.advance(10_000);
    expect(wakes.waking(ref('a'), 3_600_000)).toEqual({ wakingMs: 100_000, foundAtMs: 90_000 });
    wakes.settle(ref('a'), 'Begun');
    expect(wakes.waking(ref('a'), 3_600_000)).toEqual({ wakingMs: 0, foundAtMs: 0 });
  });
});
