import { describe, expect, it } from '@jest/globals';
import { usageOf } from '../../../src/cleanup/file-system-usage.ts';

const counts = { bsize: 4096, blocks: 1000, bfree: 600, bavail: 550, files: 100, ffree: 90 };

describe('how full a file system is', () => {
  it('is told of its space and of its files, rounded up', () => {
    // As df does: what only root may write is not there for anybody else.
    expect(usageOf(counts)).toEqual({ space: 43, size: 4_096_000, files: 10 });
    expect(usageOf({ ...counts, bfree: 50, bavail: 0, ffree: 0 })).toEqual({ space: 100, size: 4_096_000, files: 100 });
  });

  it('is not told of files where nothing bounds them', () => {
    expect(usageOf({ ...counts, files: 0, ffree: 0 })).toEqual({ space: 43, size: 4_096_000 });
  });

  it.each([
    ['no size', { blocks: 0, bfree: 0, bavail: 0 }, { space: 0, size: 0, files: 10 }],
    ['more free than it has', { ffree: 2 ** 64 }, { space: 43, size: 4_096_000, files: 0 }],
  ])('is a percentage also when it tells %s', (_, odd, expected) => {
    expect(usageOf({ ...counts, ...odd })).toEqual(expected);
  });
});
