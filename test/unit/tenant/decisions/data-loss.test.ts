import { describe, expect, it } from '@jest/globals';
import { acceptedLosses, dataLoss, type VolumeInput } from '../../../../src/tenant/decisions/data-loss.ts';
import { boundClaim } from '../fixtures.ts';

const loss = (other: Partial<VolumeInput>) =>
  dataLoss({
    tenant: 'acme',
    server: 'acme-0',
    live: boundClaim(),
    recordedUID: 'uid-claim',
    accepted: acceptedLosses(undefined),
    ...other,
  });

describe('the volume of a server', () => {
  it.each([
    ['exists', {}],
    ['was never created', { live: undefined, recordedUID: undefined }],
    ['was restored under its name', { live: boundClaim({}, { uid: 'uid-restored' }) }],
    ['was deleted and a user accepted the loss', { live: undefined, accepted: acceptedLosses('uid-other, uid-claim') }],
    ['waits for its first pod', { live: boundClaim({ phase: 'Pending' }), recordedUID: undefined }],
  ])('has lost nothing when it %s', (_, input) => {
    expect(loss(input)).toBeUndefined();
  });

  it.each([
    [
      'its claim was deleted',
      { live: undefined },
      /PersistentVolumeClaim acme-0 \(UID uid-claim\).*Restore it with the same name and labels.*kubectl annotate ct\/acme --overwrite copilot-operator\.dev\/accept-data-loss=uid-claim$/,
    ],
    [
      'its claim was deleted and another loss was accepted',
      { live: undefined, accepted: acceptedLosses('uid-other') },
      /accept-data-loss=uid-claim$/,
    ],
    [
      'the PersistentVolume of the claim is lost',
      { live: boundClaim({ phase: 'Lost' }) },
      /PersistentVolume pv-1 of claim acme-0 is lost.*Restore the PersistentVolume/,
    ],
    [
      'its claim is terminating',
      { live: boundClaim({}, { deletionTimestamp: '2026-01-02T03:00:00Z' }) },
      /PersistentVolumeClaim acme-0 is being deleted.*server is kept running.*reclaim policy of the PersistentVolume to Retain/,
    ],
  ])('is reported as lost when %s', (_, input, message) => {
    const cause = loss(input);
    expect(cause?.reason).toBe('DataLost');
    expect(cause?.message).toMatch(message);
  });
});

describe('the losses that a user accepts', () => {
  it.each([
    ['a', ['a']],
    ['a,b', ['a', 'b']],
    [' a , b ', ['a', 'b']],
  ])('are the UIDs in %j, separated by commas', (value, expected) => {
    expect([...acceptedLosses(value)]).toEqual(expected);
  });
});

describe('a volume that servers share', () => {
  const shared = (other: Partial<VolumeInput>) => loss({ shared: 'acme-shared', ...other })?.message;

  it('is lost with the same words for each of them, which name its claim', () => {
    const message = shared({ live: undefined });
    expect(message).toMatch(
      /^PersistentVolumeClaim acme-shared \(UID uid-claim\) with the sessions of tenant acme was deleted\. /,
    );
    expect(shared({ live: undefined, server: 'acme-1' })).toBe(message);
  });

  it('is about to be lost when its claim is being deleted', () => {
    const live = boundClaim({}, { deletionTimestamp: '2026-01-02T03:04:05Z' });
    expect(shared({ live })).toMatch(/removed when tenant acme has no server any more\. The servers are kept running/);
  });
});
