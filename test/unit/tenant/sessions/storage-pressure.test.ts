import { describe, expect, it } from '@jest/globals';
import type { VolumeUsage } from '../../../../src/api/tenant-status.ts';
import type { Condition } from '../../../../src/kube/types/types.ts';
import {
  fullest,
  isSharedFileSystem,
  usedPercent,
  storagePressureVerdict,
  measuredLevels,
  estimatedBytes,
  usedQuantity,
  estimatedLevel,
} from '../../../../src/tenant/sessions/storage-pressure.ts';

const MI = 2 ** 20;
const full = (percent: number) => estimatedLevel('acme-0', (percent / 100) * 1024 * MI, '1Gi');
const last = (status: Condition['status']): Condition => ({
  type: 'StoragePressure',
  status,
  reason: 'x',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

const usage = (space: number, files?: number): VolumeUsage => ({
  time: '2026-01-01T00:00:00Z',
  space,
  ...(files !== undefined && { files }),
  capacity: '1Gi',
});

describe('how full a volume is', () => {
  it('includes what a session uses besides the contents of its files', () => {
    // One turn on an ext4 with blocks of 4 KiB.
    expect(estimatedBytes(1, 27_010)).toBeGreaterThanOrEqual(53_248);
    expect(estimatedBytes(1, 27_010)).toBeLessThan(1.02 * 53_248);
    expect(estimatedBytes(453, 453 * 27_010)).toBeGreaterThan(0.35 * 64 * MI);
  });

  it.each([
    [0, '1Gi', 0],
    [1, '1Gi', 1],
    [512 * MI, '1Gi', 50],
    [512 * MI + 1, '1Gi', 51],
    [2048 * MI, '1Gi', 200],
    [500_000_000, '1G', 50],
  ])('%i bytes of %s are %i percent, rounded up', (bytes, capacity, percent) => {
    expect(estimatedLevel('acme-0', bytes, capacity)?.percent).toBe(percent);
  });

  it.each([[undefined], ['0'], ['much']])('is unknown for a capacity of %s', (capacity) => {
    expect(estimatedLevel('acme-0', 1, capacity)).toBeUndefined();
  });

  it('is reported in steps, so that not each turn is a write', () => {
    const used = [1, 2 * MI, 10 * MI]
      .map((bytes) => estimatedLevel('acme-0', bytes, '1Gi'))
      .map((volume) => volume && usedQuantity(volume));
    expect(new Set(used)).toEqual(new Set(['11Mi']));
  });

  it.each([0, 1, 37, 85, 100])('of %i percent can be read back from the status', (percent) => {
    const volume = full(percent);
    expect(usedPercent(volume && { capacity: volume.capacity, used: usedQuantity(volume) })).toBe(percent);
  });

  it('is that of the fullest of several', () => {
    const volumes = [10, 90, 50].flatMap(
      (percent, index) => estimatedLevel(`acme-${index}`, percent * MI, '100Mi') ?? [],
    );
    expect(fullest(volumes)?.server).toBe('acme-1');
  });
});

describe('the condition StoragePressure', () => {
  it.each<[number, Condition['status'] | undefined, string]>([
    [84, undefined, 'False EnoughSpace'],
    [84, 'False', 'False EnoughSpace'],
    [84, 'True', 'True VolumeNearlyFull'],
    [80, 'True', 'True VolumeNearlyFull'],
    [79, 'True', 'False EnoughSpace'],
    [80, 'Unknown', 'False EnoughSpace'],
    [85, 'False', 'True VolumeNearlyFull'],
    [94, 'True', 'True VolumeNearlyFull'],
    [95, undefined, 'True VolumeFull'],
    [300, 'True', 'True VolumeFull'],
  ])('at %i percent after %s is %s', (percent, before, expected) => {
    const { status, reason } = storagePressureVerdict(full(percent), before && last(before));
    expect(`${status} ${reason}`).toBe(expected);
  });

  it('is Unknown before a server has reported sizes', () => {
    expect(storagePressureVerdict(undefined, undefined)).toMatchObject({ status: 'Unknown', reason: 'NotMeasured' });
  });

  it.each([86, 96])('at %i percent names the server and says what to do', (percent) => {
    const { message } = storagePressureVerdict(full(percent), undefined);
    expect(message).toContain(`${percent} % of the volume of server acme-0 (1Gi)`);
    expect(message).toContain('Raise spec.storage.size');
  });

  it.each<[string, VolumeUsage, RegExp]>([
    ['its space', usage(96, 10), /volume of server acme-0 \(1Gi\) was 96 % full when last measured\. Turns fail/],
    ['its files', usage(30, 99), /is out of inodes or nearly so: 99 % were in use .*Delete sessions/s],
    ['its files, soon', usage(30, 88), /is running out of inodes: 88 % were in use .*spec\.sessions\.ttl/s],
  ])('says what is running out: %s', (_, seen, message) => {
    const worst = fullest([full(20), measuredLevels('acme-0', seen, '1Gi')].flatMap((volumes) => volumes ?? []));
    expect(storagePressureVerdict(worst, undefined)).toMatchObject({
      status: 'True',
      message: expect.stringMatching(message),
    });
  });

  it('is that of the sessions when the measurement is lower', () => {
    const worst = fullest(
      [full(90), measuredLevels('acme-0', usage(50, 50), '1Gi')].flatMap((volumes) => volumes ?? []),
    );
    expect(storagePressureVerdict(worst, undefined).message).toContain('Sessions use 90 %');
  });

  it('ignores a shared file system until it is full', () => {
    expect(measuredLevels('acme-0', { ...usage(90, 94), shared: true }, '1Gi')).toEqual([]);
    expect(measuredLevels('acme-0', { ...usage(95, 94), shared: true }, '1Gi')).toMatchObject([
      { percent: 95, of: 'Space' },
    ]);
    expect([
      isSharedFileSystem(1024 * MI, '1Gi'),
      isSharedFileSystem(2048 * MI, '1Gi'),
      isSharedFileSystem(2049 * MI, '1Gi'),
    ]).toEqual([false, false, true]);
  });

  it('ignores a measurement from before the volume was expanded', () => {
    expect(measuredLevels('acme-0', usage(100, 100), '2Gi')).toEqual([]);
  });

  it('has the same message while there is enough space', () => {
    expect(storagePressureVerdict(full(10), undefined)).toEqual(storagePressureVerdict(full(70), last('False')));
  });
});
