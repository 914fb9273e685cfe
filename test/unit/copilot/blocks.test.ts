import { expect, it } from '@jest/globals';
import { FrameBatch, encodeFrame } from '../../../src/copilot/index.ts';
import { BLOCK_BYTES, borrowBlock } from '../../../src/copilot/blocks.ts';

it('lends a block that was freed, once, however often it was freed', () => {
  const first = borrowBlock();
  first.free();
  first.free();
  const [second, third] = [borrowBlock(), borrowBlock()];
  expect(second.memory).toBe(first.memory);
  expect(third.memory).not.toBe(second.memory);
  // By who had it before.
  first.free();
  expect(borrowBlock().memory).not.toBe(second.memory);
});

it('keeps a bounded number of them', () => {
  const blocks = Array.from({ length: 100 }, borrowBlock);
  for (const { free } of blocks) free();
  const again = new Set(Array.from({ length: 100 }, () => borrowBlock().memory));
  expect(blocks.filter(({ memory }) => again.has(memory)).length).toBeLessThan(20);
});

/** A batch with frames of together about so many bytes. */
function batchOf(bytes: number, letter: string): FrameBatch {
  const batch = new FrameBatch();
  while (batch.bytes < bytes) batch.add(letter.repeat(1_000));
  return batch;
}

it('frames that were taken are left alone until they are freed', () => {
  const { frames, free } = batchOf(60_000, 'a').take();
  const before = Buffer.from(frames);
  const others = ['b', 'c', 'd'].map((letter) => batchOf(60_000, letter).take());
  expect(frames).toEqual(before);
  expect(frames.buffer.byteLength).toBe(BLOCK_BYTES);
  free?.();
  // Now somebody else has the memory.
  const { frames: next } = batchOf(60_000, 'e').take();
  expect(next.buffer).toBe(frames.buffer);
  expect(others.map(({ frames: other }) => other.toString('latin1', 0, 30))).toEqual(
    ['b', 'c', 'd'].map((letter) => encodeFrame(letter.repeat(1_000)).slice(0, 30)),
  );
});

it('a batch that has little of a block is copied, and gives the block back', () => {
  const block = borrowBlock();
  block.free();
  const { frames, free } = batchOf(20_000, 'a').take();
  expect(free).toBeUndefined();
  expect(frames.buffer).not.toBe(block.memory.buffer);
  expect(borrowBlock().memory).toBe(block.memory);
});
