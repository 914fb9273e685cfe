/** Bytes in the middle of others. */

/** Whether `expected` is in `bytes` at this place. For a few bytes a loop is quicker than a call of the runtime. */
export function hasAt(bytes: Buffer, expected: Buffer, at: number): boolean {
  const { length } = expected;
  if (bytes.length < at + length) return false;
  for (let index = 0; index < length; index += 1) if (bytes[at + index] !== expected[index]) return false;
  return true;
}
