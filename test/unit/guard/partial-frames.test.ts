import { describe, expect, it } from '@jest/globals';
import { PartialFrames } from '../../../src/guard/partial-frames.ts';

function holder(name: string, dropped: string[], isGranted = false) {
  return { isGranted, drop: () => void dropped.push(name) };
}

describe('frames that have not arrived in full', () => {
  it('have no more than so many bytes: who has sent nothing for the longest time is dropped', () => {
    const dropped: string[] = [];
    const frames = new PartialFrames(1_000);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => holder(name, dropped));
    if (a === undefined || b === undefined || c === undefined) throw new Error('unreachable');
    frames.hold(a, 300);
    frames.hold(b, 300);
    frames.hold(a, 400);
    frames.hold(c, 300);
    expect(dropped).toEqual([]);
    frames.hold(c, 301);
    expect(dropped).toEqual(['b']);
    frames.hold(a, 0);
    frames.hold(b, 600);
    expect(dropped).toEqual(['b']);
  });

  it('are those of others first, and not of who was granted something', () => {
    const dropped: string[] = [];
    const frames = new PartialFrames(1_000);
    frames.hold(holder('granted', dropped, true), 800);
    frames.hold(holder('stranger', dropped), 800);
    expect(dropped).toEqual(['stranger']);
    frames.hold(holder('granted, too', dropped, true), 201);
    expect(dropped).toEqual(['stranger', 'granted']);
  });

  it('may be of one alone, which is too large', () => {
    const dropped: string[] = [];
    const frames = new PartialFrames(1_000);
    frames.hold(holder('alone', dropped), 1_001);
    frames.hold(holder('next', dropped), 1_000);
    expect(dropped).toEqual(['alone']);
  });
});
