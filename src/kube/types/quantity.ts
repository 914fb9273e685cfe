/** Quantities (`500m`, `1Gi`, `1e3`) by value: the API server normalizes them, so that equal quantities may differ as text. */

const NANO_EXPONENT = 9;
// Far beyond the API's own 2^63 limit; without a limit "1e999999999" would be a gigabyte of digits.
const LARGEST_EXPONENT = 60;

const decimalExponents: Record<string, number> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const binaryExponents: Record<string, bigint> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };

const pattern = /^([+-]?)(\d*)\.?(\d*)(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d{1,3}))?$/;

/**
 * The value in billionths, rounded up as the API server rounds; `undefined` if the text is no quantity.
 * Billionths, because `n` is the smallest suffix there is.
 */
export function parseQuantity(text: string | number): bigint | undefined {
  const match = pattern.exec(String(text));
  if (!match) return undefined;
  const [, sign, whole = '', fraction = '', suffix = '', exponent = '0'] = match;
  if (whole === '' && fraction === '') return undefined;
  const binary = binaryExponents[suffix];
  const power = NANO_EXPONENT - fraction.length + (binary ? 0 : (decimalExponents[suffix] ?? 0) + Number(exponent));
  if (Math.abs(power) > LARGEST_EXPONENT) return undefined;
  const digits = BigInt(whole + fraction) << (binary ?? 0n);
  const value = power >= 0 ? digits * 10n ** BigInt(power) : divideUp(digits, 10n ** BigInt(-power));
  return sign === '-' ? -value : value;
}

/** Below zero, zero or above zero if `a` is less than, equal to or more than `b`; `undefined` if one is no quantity. */
export function compareQuantities(a: string | number, b: string | number): number | undefined {
  const left = parseQuantity(a);
  const right = parseQuantity(b);
  if (left === undefined || right === undefined) return undefined;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Whether `a` is less than `b`; false if one is no quantity. */
export function isLess(a: string | number, b: string | number): boolean {
  return (compareQuantities(a, b) ?? 0) < 0;
}

function divideUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}
