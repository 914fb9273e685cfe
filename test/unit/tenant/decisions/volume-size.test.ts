import { describe, expect, it } from '@jest/globals';
import type { PersistentVolumeClaim } from '../../../../src/kube/types/builtins.ts';
import { isGrowing, minimumSize } from '../../../../src/tenant/decisions/volume-size.ts';
import { boundClaim } from '../fixtures.ts';

describe('the lowest size that a tenant may be set to', () => {
  const claim = (requested: string, capacity?: string): PersistentVolumeClaim => ({
    ...boundClaim({}),
    spec: { resources: { requests: { storage: requested } } },
    status: capacity === undefined ? { phase: 'Pending' } : { phase: 'Bound', capacity: { storage: capacity } },
  });

  it.each([
    ['zero while there is no claim', [], '0'],
    ['the request of its claim', [claim('1Gi', '1Gi')], '1Gi'],
    ['the capacity of its volume while that is being expanded', [claim('10Gi', '1Gi')], '1Gi'],
    ['the request of its claim where the volume was provisioned larger', [claim('16Mi', '1Gi')], '16Mi'],
    ['the request of its claim while that is not bound', [claim('10Gi')], '10Gi'],
    ['the largest of several', [claim('1Gi', '1Gi'), claim('10Gi', '5Gi'), claim('2Gi', '2Gi')], '5Gi'],
    ['the largest by value and not by text', [claim('900Mi', '900Mi'), claim('1Gi', '1Gi')], '1Gi'],
    ['the first of two that are equal, so that it does not change', [claim('1Gi', '1Gi'), claim('1024Mi')], '1Gi'],
  ])('is %s', (_, claims, expected) => {
    expect(minimumSize(claims)).toBe(expected);
  });

  it.each([
    ['is expanding when the spec exceeds its capacity', '10Gi', '1Gi', '10Gi', true],
    ['is not when its capacity is the request', '10Gi', '10Gi', '10Gi', false],
    ['is not when the expansion was reverted', '10Gi', '1Gi', '1Gi', false],
    ['is not when the request could not be raised', '1Gi', '1Gi', '10Gi', false],
  ])('a volume %s', (_, requested, capacity, size, expected) => {
    expect(isGrowing(claim(requested, capacity), size)).toBe(expected);
  });
});
