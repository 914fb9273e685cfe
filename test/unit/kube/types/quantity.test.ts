import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { compareQuantities, parseQuantity } from '../../../../src/kube/types/quantity.ts';

describe('quantities', () => {
  it.each([
    ['1000m', '1'],
    ['1Gi', '1024Mi'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['1e3', '1k'],
    ['1E3', '1000'],
    ['1.5Gi', '1536Mi'],
    ['+2', 2],
    ['-0', '0'],
    ['1E', '1000P'],
    ['0.0000000001', '1n'],
  ])('%s and %s are the same', (a, b) => {
    expect(compareQuantities(a, b)).toBe(0);
  });

  it.each([
    ['1M', '1Mi'],
    ['999m', '1'],
    ['-1Gi', '0'],
    ['1e30', '1e31'],
  ])('%s is less than %s', (a, b) => {
    expect(compareQuantities(a, b)).toBeLessThan(0);
    expect(compareQuantities(b, a)).toBeGreaterThan(0);
  });

  it.each(['', '.', 'm', '1 Gi', '1GiB', '0x10', '1e', '1e9999', 'one', '--1', '1Ki5'])('%j is no quantity', (text) => {
    expect(parseQuantity(text)).toBeUndefined();
    expect(compareQuantities(text, '1')).toBeUndefined();
  });

  it('compares whole numbers as numbers', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(Math.sign(compareQuantities(a, String(b)) ?? NaN)).toBe(Math.sign(a - b));
      }),
    );
  });
});
