import { describe, expect, it } from '@jest/globals';
import type { Condition } from '../../../../src/kube/types.ts';
import { fullest, percentOf, pressureVerdict, usedOf, volumeOf } from '../../../../src/tenant/decisions/storage.ts';

const MI = 2 ** 20;
const full = (percent: number) => volumeOf('acme-0', (percent / 100) * 1024 * MI, '1Gi');
const last = (status: Condition['status']): Condition => ({
  type: 'StoragePressure',
  status,
  reason: 'x',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

describe('how full a volume is', () => {
  it.each([
    [0, '1Gi', 0],
    [1, '1Gi', 1],
    [512 * MI, '1Gi', 50],
    [512 * MI + 1, '1Gi', 51],
    [2048 * MI, '1Gi', 200],
    [500_000_000, '1G', 50],
  ])('%i bytes of %s are %i percent: rounded up, as nothing is as bad as a surprise', (bytes, capacity, percent) => {
    expect(volumeOf('acme-0', bytes, capacity)?.percent).toBe(percent);
  });

  it.each([[undefined], ['0'], ['much']])('is not known of a capacity of %s', (capacity) => {
    expect(volumeOf('acme-0', 1, capacity)).toBeUndefined();
  });

  it('is told in steps, so that each turn is no write', () => {
    const used = [1, 2 * MI, 10 * MI]
      .map((bytes) => volumeOf('acme-0', bytes, '1Gi'))
      .map((volume) => volume && usedOf(volume));
    expect(new Set(used)).toEqual(new Set(['11Mi']));
  });

  it.each([0, 1, 37, 85, 100])('of %i percent can be read back from what was told', (percent) => {
    const volume = full(percent);
    expect(percentOf(volume && { capacity: volume.capacity, used: usedOf(volume) })).toBe(percent);
  });

  it('counts for the fullest of several', () => {
    const volumes = [10, 90, 50].flatMap((percent, index) => volumeOf(`acme-${index}`, percent * MI, '100Mi') ?? []);
    expect(fullest(volumes)?.server).toBe('acme-1');
  });
});

describe('the pressure on volumes', () => {
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
    const { status, reason } = pressureVerdict(full(percent), before && last(before));
    expect(`${status} ${reason}`).toBe(expected);
  });

  it('is not known before a server has told sizes', () => {
    expect(pressureVerdict(undefined, undefined)).toMatchObject({ status: 'Unknown', reason: 'NotMeasured' });
  });

  it.each([86, 96])('at %i percent names the server and says what to do', (percent) => {
    const { message } = pressureVerdict(full(percent), undefined);
    expect(message).toContain(`${percent} % of the volume of server acme-0 (1Gi)`);
    expect(message).toContain('Raise spec.storage.size');
  });

  it('is told in the same words while there is room', () => {
    expect(pressureVerdict(full(10), undefined)).toEqual(pressureVerdict(full(70), last('False')));
  });
});
