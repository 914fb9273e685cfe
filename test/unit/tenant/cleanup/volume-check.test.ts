import { describe, expect, it } from '@jest/globals';
import type { VolumeUsage } from '../../../../src/api/tenant-status.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { VOLUME_CHECK_INTERVAL_MS, volumeCheckReason } from '../../../../src/tenant/cleanup/volume-check.ts';
import { MINUTE, NOW } from '../fixtures.ts';
import type { VolumeFacts } from '../../../../src/tenant/model.ts';

const usage = (found: Partial<VolumeUsage> = {}): VolumeUsage => ({
  time: timestamp(NOW - VOLUME_CHECK_INTERVAL_MS),
  space: 10,
  capacity: '64Mi',
  ...found,
});

describe('a look at a volume', () => {
  it.each<[string, VolumeFacts, string]>([
    ['of whose sessions nobody knows', {}, '64Mi'],
    ['with few sessions', { sessions: 350 }, '64Mi'],
    ['of a capacity that nobody knows', { sessions: 1000 }, 'much'],
    ['that was seen to have room', { sessions: 10, usage: usage({ space: 79, files: 79 }) }, '64Mi'],
    ['that was seen a moment ago', { sessions: 453, usage: usage({ time: timestamp(NOW - MINUTE) }) }, '64Mi'],
    ['that was to be looked at a moment ago and told nothing', { sessions: 453, requestedAt: NOW - MINUTE }, '64Mi'],
  ])('is not taken of one %s', (_, volume, capacity) => {
    expect(volumeCheckReason(volume, capacity, NOW)).toBeUndefined();
  });

  it.each<[string, VolumeFacts, string]>([
    ['whose sessions may be all the files of an ext4', { sessions: 370 }, 'Its 370 sessions may use up its inodes'],
    ['that was nearly full an hour ago', { sessions: 1, usage: usage({ space: 80 }) }, 'It was 80 % full'],
    ['that had nearly no inodes an hour ago', { sessions: 1, usage: usage({ files: 97 }) }, 'It was 97 % full'],
    [
      'that was full, and has grown since',
      { usage: usage({ time: timestamp(NOW - MINUTE), files: 100, capacity: '32Mi' }) },
      'It was 100 % full',
    ],
  ])('is taken of one %s', (_, volume, why) => {
    expect(volumeCheckReason(volume, '64Mi', NOW)).toContain(why);
  });
});
