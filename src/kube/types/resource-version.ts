/** Resource versions, compared: the one place that knows that they are numbers. */

/**
 * Whether `a` is older than `b`, two resource versions of one type. They are increasing numbers (guaranteed since Kubernetes 1.35, true
 * before); of what is no number nothing is known.
 */
export function isOlderVersion(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || !/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return BigInt(a) < BigInt(b);
}
