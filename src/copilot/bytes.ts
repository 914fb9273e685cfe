/** Bytes in the middle of others. */

/** Whether `expected` is in `bytes` at this place. For a few bytes a loop is quicker than a call of the runtime. */
export function hasAt(bytes: Buffer, expected: Buffer, at: number): boolean {
  const { length } = expected;
  if (bytes.length < at + length) return false;
  for (let index = 0; index < length; index += 1) if (bytes[at + index] !== expected[index]) return false;
  return true;
}

/** The bytes, for {@link Pattern.isAt}. */
export function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

const WORD = 8;

/**
 * At least eight bytes that are looked for in every frame, in ASCII. They are compared eight at a time, as floating-point numbers, because
 * V8 reads those from any place. For ASCII characters that is the same: none of them are in a zero, which has two forms, or in a NaN.
 */
export class Pattern {
  readonly length: number;
  readonly #words: Float64Array;
  /** The last eight, of which some are in the words, too. */
  readonly #last: number;

  constructor(bytes: Buffer) {
    const view = viewOf(bytes);
    this.length = bytes.length;
    this.#words = new Float64Array(Math.floor(bytes.length / WORD));
    for (let word = 0; word < this.#words.length; word += 1) this.#words[word] = view.getFloat64(word * WORD, true);
    this.#last = view.getFloat64(bytes.length - WORD, true);
  }

  /** Whether it is in `bytes` at this place. */
  isAt(bytes: DataView, at: number): boolean {
    const { length } = this;
    if (bytes.byteLength < at + length) return false;
    const words = this.#words;
    for (let word = 0; word < words.length; word += 1) {
      if (bytes.getFloat64(at + word * WORD, true) !== words[word]) return false;
    }
    return bytes.getFloat64(at + length - WORD, true) === this.#last;
  }
}
