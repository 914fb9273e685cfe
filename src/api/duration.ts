/** Durations as the CRDs accept them. */
const UNIT_SECONDS = { h: 3600, m: 60, s: 1 } as const;

/**
 * Go's duration syntax, narrowed to whole hours, minutes and seconds in that order. The bound on digits keeps every
 * match inside the 292 years that CEL's `duration()` can hold: what matches never fails to convert.
 */
export const DURATION_PATTERN = '^([0-9]{1,6}h([0-9]{1,6}m)?([0-9]{1,6}s)?|[0-9]{1,6}m([0-9]{1,6}s)?|[0-9]{1,6}s)$';

/**
 * Milliseconds of a duration such as `90s` or `1h30m`.
 * @throws RangeError naming the text, when it is not one. The CRD accepts no such value.
 */
export function durationMs(text: string): number {
  if (!new RegExp(DURATION_PATTERN).test(text)) {
    throw new RangeError(`"${text}" is not a duration: use whole hours, minutes and seconds, such as 10s or 1h30m`);
  }
  let seconds = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)([hms])/g)) {
    seconds += Number(digits) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
  }
  return seconds * 1000;
}
