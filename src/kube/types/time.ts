/** Timestamps as the API server reads them. */

/** metav1.Time of wall-clock ms: RFC 3339 in whole seconds, as the API server stores it. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** metav1.MicroTime of wall-clock ms: with exactly six digits; API servers refuse the three that JavaScript writes. */
export function microTimestamp(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
