import { describe, expect, it } from '@jest/globals';
import {
  decideCall,
  decideGrant,
  type CallKind,
  type Fence,
  type HeldGrant,
  type Stamp,
} from '../../../src/guard/fence.ts';
import type { GrantIntent, SessionGrant } from '../../../src/resources/session-grant.ts';

const ME = 'me';
const stamp = (epoch: number, pod: string, closedUnder?: number): Stamp => ({
  epoch,
  holder: { server: `s/${pod}`, pod },
  closedUnder,
});
const open = (epoch: number): Fence => ({ epoch, state: 'Open' });
const closed = (epoch: number): Fence => ({ epoch, state: 'Closed' });

function grant(epoch: number, intent: GrantIntent = 'load', gone?: readonly string[]): SessionGrant {
  return { tenant: 't', server: 's', pod: ME, session: 'x', epoch, intent, gone, issuedAt: '' };
}

/** The reason of a refusal, or what is to be done. */
function decide(of: SessionGrant, fence: Fence | undefined, ...stamps: Stamp[]): string {
  const verdict = decideGrant(of, ME, { fence, stamps });
  if (verdict.outcome === 'Refused') return `${verdict.reason} ${verdict.epoch} ${verdict.holder?.pod ?? '-'}`;
  return `${verdict.fence.state}${verdict.claim ? ', claimed' : ''}`;
}

describe('a grant of a load', () => {
  it.each<[string, SessionGrant, Fence | undefined, Stamp[], string]>([
    ['of a session that is new', grant(1), undefined, [], 'Open, claimed'],
    ['once more', grant(3), open(3), [stamp(3, ME)], 'Open'],
    ['once more, when the file of the epoch was lost', grant(3), open(3), [], 'Open, claimed'],
    ['once more, when what the guard remembered was lost', grant(3), undefined, [stamp(3, ME)], 'Open'],
    ['under a higher epoch in the same pod', grant(4), open(3), [stamp(3, ME)], 'Open, claimed'],
    ['under a lower epoch than the pod remembers', grant(2), open(3), [], 'StaleEpoch 3 -'],
    ['under a lower epoch than another took it under', grant(2), undefined, [stamp(3, 'B', 4)], 'StaleEpoch 4 -'],
    ['under the epoch of another', grant(3), undefined, [stamp(3, 'B')], 'StaleEpoch 3 B'],
    ['that another has open', grant(4), undefined, [stamp(3, 'B')], 'NotClosed 3 B'],
    ['that another has closed under this epoch', grant(4), undefined, [stamp(3, 'B', 4)], 'Open, claimed'],
    ['that another has closed under a higher one', grant(4), undefined, [stamp(3, 'B', 5)], 'StaleEpoch 5 -'],
    ['that was closed here under this epoch', grant(4), closed(4), [stamp(3, ME)], 'StaleEpoch 4 me'],
    ['that was closed here, as only the volume remembers', grant(4), undefined, [stamp(3, ME, 4)], 'StaleEpoch 4 -'],
    ['that was closed here under a lower one', grant(5), closed(4), [stamp(3, ME, 4)], 'Open, claimed'],
    ['that a pod had which is gone', grant(4, 'load', ['B']), undefined, [stamp(3, 'B')], 'Open, claimed'],
    [
      'that another pod had than the one that is gone',
      grant(4, 'load', ['C']),
      undefined,
      [stamp(3, 'B')],
      'NotClosed 3 B',
    ],
    [
      'that two had, of which one died as it took it',
      grant(6),
      undefined,
      [stamp(5, 'C', 6), stamp(3, 'B')],
      'NotClosed 6 B',
    ],
    [
      'claimed, while another claims a higher one',
      grant(4),
      undefined,
      [stamp(5, 'B'), stamp(4, ME)],
      'StaleEpoch 5 B',
    ],
    ['claimed, while another claims a lower one', grant(5), undefined, [stamp(5, ME), stamp(4, 'B')], 'NotClosed 5 B'],
  ])('%s', (_what, of, fence, stamps, expected) => {
    expect(decide(of, fence, ...stamps)).toBe(expected);
  });
});

describe('a grant of the present epoch', () => {
  const granted = (intent: GrantIntent): Fence => ({ ...open(3), intent });
  it.each<[string, GrantIntent, Fence, HeldGrant | undefined, string]>([
    ['for the same, on another connection', 'load', granted('load'), undefined, 'Granted'],
    ['for a deletion, when another has loaded it', 'delete', granted('load'), undefined, 'StaleEpoch'],
    ['for a load, when another deletes it', 'load', granted('delete'), undefined, 'StaleEpoch'],
    ['for a load, of one who had it before', 'load', granted('delete'), { epoch: 2, intent: 'load' }, 'StaleEpoch'],
    ['for a deletion by who has it', 'delete', granted('load'), { epoch: 3, intent: 'load' }, 'Granted'],
    ['for a load by who could not delete it', 'load', granted('delete'), { epoch: 3, intent: 'delete' }, 'Granted'],
    ['for anything, when all connections of before have ended', 'delete', open(3), undefined, 'Granted'],
  ])('%s', (_what, intent, fence, held, expected) => {
    const verdict = decideGrant(grant(3, intent), ME, { fence, stamps: [stamp(3, ME)], held });
    expect(verdict.outcome === 'Refused' ? verdict.reason : verdict.outcome).toBe(expected);
    // Whoever is refused goes on above it.
    expect(decideGrant(grant(4, intent), ME, { fence, stamps: [stamp(3, ME)], held }).outcome).toBe('Granted');
  });
});

describe('a grant of a close', () => {
  it.each<[string, SessionGrant, Fence | undefined, Stamp[], string]>([
    ['above the open epoch', grant(4, 'close'), open(3), [stamp(3, ME)], 'Closed'],
    ['once more', grant(4, 'close'), closed(4), [stamp(3, ME, 4)], 'Closed'],
    ['once more, when another has it by now', grant(4, 'close'), closed(4), [stamp(4, 'B')], 'Closed'],
    ['of the open epoch', grant(3, 'close'), open(3), [stamp(3, ME)], 'StaleEpoch 3 me'],
    [
      'of the open epoch, as only the volume remembers',
      grant(3, 'close'),
      undefined,
      [stamp(3, ME)],
      'StaleEpoch 3 me',
    ],
    ['below', grant(2, 'close'), closed(4), [], 'StaleEpoch 4 -'],
    ['of a session that never was here', grant(2, 'close'), undefined, [stamp(1, 'B')], 'Closed'],
  ])('%s', (_what, of, fence, stamps, expected) => {
    expect(decide(of, fence, ...stamps)).toBe(expected);
  });
});

describe('a call', () => {
  it.each<[string, CallKind, HeldGrant | undefined, Fence | undefined, string | undefined]>([
    ['under the present grant', 'Other', { epoch: 3, intent: 'load' }, open(3), undefined],
    ['without a grant', 'Other', undefined, open(3), 'NoGrant'],
    ['under an earlier grant', 'Other', { epoch: 2, intent: 'load' }, open(3), 'StaleEpoch'],
    ['after a close', 'Other', { epoch: 3, intent: 'load' }, closed(4), 'StaleEpoch'],
    ['after a deletion', 'Load', { epoch: 3, intent: 'load' }, closed(3), 'StaleEpoch'],
    ['that unloads under the present grant', 'Close', { epoch: 3, intent: 'load' }, open(3), undefined],
    ['that closes', 'Close', { epoch: 4, intent: 'close' }, closed(4), undefined],
    ['that closes when the session was loaded again', 'Close', { epoch: 4, intent: 'close' }, open(5), 'StaleEpoch'],
    ['that loads under a grant of a close', 'Load', { epoch: 4, intent: 'close' }, closed(4), 'NoGrant'],
    ['that deletes', 'Delete', { epoch: 4, intent: 'delete' }, open(4), undefined],
    ['that deletes under a grant of a load', 'Delete', { epoch: 4, intent: 'load' }, open(4), undefined],
    ['that loads under a grant of a deletion', 'Load', { epoch: 4, intent: 'delete' }, open(4), 'NoGrant'],
    ['that deletes under a grant of a close', 'Delete', { epoch: 4, intent: 'close' }, closed(4), 'NoGrant'],
  ])('%s', (_what, kind, held, fence, expected) => {
    expect(decideCall(kind, held, fence)).toBe(expected);
  });
});
