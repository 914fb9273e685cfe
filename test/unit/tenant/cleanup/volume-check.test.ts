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

describe('the check of a volume', () => {
  it.each<[string, VolumeFacts, string]>([
    ['with an unknown number of sessions', {}, '64Mi'],
    ['with few sessions', { sessions: 350 }, '64Mi'],
    ['of an unknown capacity', { sessions: 1000 }, 'much'],
    ['that was not nearly full', { sessions: 10, usage: usage({ space: 79, files: 79 }) }, '64Mi'],
    ['that was measured a moment ago', { sessions: 453, usage: usage({ time: timestamp(NOW - MINUTE) }) }, '64Mi'],
    ['that was checked a moment ago without a result', { sessions: 453, requestedAt: NOW - MINUTE }, '64Mi'],
  ])('is not needed for one %s', (_, volume, capacity) => {
    expect(volumeCheckReason(volume, capacity, NOW)).toBeUndefined();
  });

  it.each<[string, VolumeFacts, string]>([
    ['whose sessions may use up the inodes of an ext4', { sessions: 370 }, 'Its 370 sessions may use up its inodes'],
    ['that was nearly full an hour ago', { sessions: 1, usage: usage({ space: 80 }) }, 'It was 80 % full'],
    ['that had nearly no free inodes an hour ago', { sessions: 1, usage: usage({ files: 97 }) }, 'It was 97 % full'],
    [
      'that was full, and was expanded since',
      { usage: usage({ time: timestamp(NOW - MINUTE), files: 100, capacity: '32Mi' }) },
      'It was 100 % full',
    ],
  ])('is needed for one %s', (_, volume, why) => {
    expect(volumeCheckReason(volume, '64Mi', NOW)).toContain(why);
  });
});
