import { describe, expect, it } from '@jest/globals';
import { decideLeft } from '../../../../src/gateway/relay/fence/decide-left.ts';
import type { StampedEpoch } from '../../../../src/resources/guard-protocol.ts';

const stamp = (pod: string, epoch: number, closedUnder?: number): StampedEpoch => ({
  server: `team/${pod}`,
  pod,
  epoch,
  closedUnder,
});

describe('a place that was left under epoch 5, by the volume', () => {
  it.each<[string, StampedEpoch[], string]>([
    ['has it still', [stamp('a', 5)], 'Open'],
    ['has it again', [stamp('a', 9)], 'Open'],
    ['has it still, though another has claimed it', [stamp('b', 9), stamp('a', 5)], 'Open'],
    ['has closed it', [stamp('a', 5, 6)], 'Closed'],
    ['has closed it before', [stamp('a', 3, 5)], 'Unproven'],
    ['has it no more, because another has taken it since', [stamp('b', 6)], 'Replaced'],
    ['has it no more, because another had it since', [stamp('b', 6, 7)], 'Replaced'],
    ['may have it: another had it before', [stamp('b', 4)], 'Unproven'],
    ['may have it: another had it before, and closed it later', [stamp('b', 4, 9)], 'Unproven'],
    ['may have it: the volume has lost all epochs', [], 'Unproven'],
  ])('%s', (_what, stamps, reason) => {
    expect(decideLeft({ server: 'team/a', podUID: 'a', epoch: 5 }, stamps).reason).toBe(reason);
  });

  it('may have it, whatever was later, where nobody knows when it was left', () => {
    const place = { server: 'team/a', podUID: 'a' };
    expect(decideLeft(place, [stamp('b', 9)]).reason).toBe('Unproven');
    expect(decideLeft(place, [stamp('a', 5, 9)]).reason).toBe('Unproven');
  });
});
