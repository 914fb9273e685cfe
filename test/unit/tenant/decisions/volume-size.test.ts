import { describe, expect, it } from '@jest/globals';
import type { PersistentVolumeClaim } from '../../../../src/kube/types/builtins.ts';
import { isGrowing, minimumSize } from '../../../../src/tenant/decisions/volume-size.ts';
import { boundClaim } from '../fixtures.ts';

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
