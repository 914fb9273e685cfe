import { describe, expect, it } from '@jest/globals';
import type { PersistentVolumeClaim } from '../../../../src/kube/types/builtins.ts';
import {
  acceptedLosses,
  dataLoss,
  isGrowing,
  minimumSize,
  type VolumeInput,
} from '../../../../src/tenant/decisions/data-loss.ts';
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
    ['is there', {}],
    ['was never made', { live: undefined, recordedUID: undefined }],
    ['was restored by somebody under its name', { live: boundClaim({}, { uid: 'uid-restored' }) }],
    ['is gone and a person let go of it', { live: undefined, accepted: acceptedLosses('uid-other, uid-claim') }],
    ['waits for its first pod', { live: boundClaim({ phase: 'Pending' }), recordedUID: undefined }],
  ])('has lost nothing when it %s', (_, input) => {
    expect(loss(input)).toBeUndefined();
  });

  it.each([
    [
      'its claim was deleted',
      { live: undefined },
      /claim acme-0 \(UID uid-claim\).*Restore a claim of that name with the labels that it had.*kubectl annotate ct\/acme --overwrite copilot-operator\.dev\/accept-data-loss=uid-claim$/,
    ],
    [
      'its claim was deleted and another loss was accepted',
      { live: undefined, accepted: acceptedLosses('uid-other') },
      /accept-data-loss=uid-claim$/,
    ],
    [
      'what is behind the claim is gone',
      { live: boundClaim({ phase: 'Lost' }) },
      /volume pv-1 behind the claim acme-0 is gone.*Restore the PersistentVolume/,
    ],
    [
      'its claim is going to be deleted',
      { live: boundClaim({}, { deletionTimestamp: '2026-01-02T03:00:00Z' }) },
      /claim acme-0 is being deleted.*server is left running.*reclaim policy Retain/,
    ],
  ])('is told as lost when %s', (_, input, message) => {
    const cause = loss(input);
    expect(cause?.reason).toBe('DataLost');
    expect(cause?.message).toMatch(message);
  });
});

describe('the losses that a person accepts', () => {
  it.each([
    ['a', ['a']],
    ['a,b', ['a', 'b']],
    [' a , b ', ['a', 'b']],
  ])('%j names them, separated by commas', (value, expected) => {
    expect([...acceptedLosses(value)]).toEqual(expected);
  });
});

describe('the size that a tenant can be set back to', () => {
  const claim = (asked: string, capacity?: string): PersistentVolumeClaim => ({
    ...boundClaim({}),
    spec: { resources: { requests: { storage: asked } } },
    status: capacity === undefined ? { phase: 'Pending' } : { phase: 'Bound', capacity: { storage: capacity } },
  });

  it.each([
    ['nothing while there is no claim', [], '0'],
    ['what its claim asks for', [claim('1Gi', '1Gi')], '1Gi'],
    ['what its volume has while that grows', [claim('10Gi', '1Gi')], '1Gi'],
    ['what its claim asks for where the volume was made larger', [claim('16Mi', '1Gi')], '16Mi'],
    ['what its claim asks for while that is not bound', [claim('10Gi')], '10Gi'],
    ['the largest of several', [claim('1Gi', '1Gi'), claim('10Gi', '5Gi'), claim('2Gi', '2Gi')], '5Gi'],
    ['the largest by value and not by text', [claim('900Mi', '900Mi'), claim('1Gi', '1Gi')], '1Gi'],
    ['the first of two that are equal, so that it does not change', [claim('1Gi', '1Gi'), claim('1024Mi')], '1Gi'],
  ])('is %s', (_, claims, expected) => {
    expect(minimumSize(claims)).toBe(expected);
  });

  it.each([
    ['grows when the spec wants more than it has', '10Gi', '1Gi', '10Gi', true],
    ['does not when it has what it asks for', '10Gi', '10Gi', '10Gi', false],
    ['does not when the growth was taken back to what it has', '10Gi', '1Gi', '1Gi', false],
    ['does not when its claim could not be raised', '1Gi', '1Gi', '10Gi', false],
  ])('a volume %s', (_, asked, capacity, size, expected) => {
    expect(isGrowing(claim(asked, capacity), size)).toBe(expected);
  });
});
