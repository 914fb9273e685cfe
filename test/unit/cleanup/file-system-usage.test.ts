import { describe, expect, it } from '@jest/globals';
import { usageOf } from '../../../src/cleanup/file-system-usage.ts';

const counts = { bsize: 4096, blocks: 1000, bfree: 600, bavail: 550, files: 100, ffree: 90 };

describe('how full a file system is', () => {
  it('is measured by space and by inodes, rounded up', () => {
    // As df does: what is reserved for root is not available.
    expect(usageOf(counts)).toEqual({ space: 43, size: 4_096_000, files: 10 });
    expect(usageOf({ ...counts, bfree: 50, bavail: 0, ffree: 0 })).toEqual({ space: 100, size: 4_096_000, files: 100 });
  });

  it('has no inodes where they have no limit', () => {
    expect(usageOf({ ...counts, files: 0, ffree: 0 })).toEqual({ space: 43, size: 4_096_000 });
  });

  it.each([
    ['no size', { blocks: 0, bfree: 0, bavail: 0 }, { space: 0, size: 0, files: 10 }],
    ['more free than it has', { ffree: 2 ** 64 }, { space: 43, size: 4_096_000, files: 0 }],
  ])('is a percentage also with %s', (_, odd, expected) => {
    expect(usageOf({ ...counts, ...odd })).toEqual(expected);
  });
});
