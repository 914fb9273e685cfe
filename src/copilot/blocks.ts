/** Memory for what is written, and for what is read in pieces, used again and again: V8 collects garbage after every so many bytes that are allocated outside of its heap. */

/** Bytes of a block. */
export const BLOCK_BYTES = 64 * 1024;
/** As many are kept for the next use. */
const MOST_KEPT = 16;

const kept: Buffer[] = [];

/** A block that nobody else has. */
export interface Block {
  readonly memory: Buffer;
  /** Nobody reads or writes it any more. Calling it again does nothing. */
  readonly free: () => void;
}

/** Its bytes are those of an earlier use. */
export function borrowBlock(): Block {
  const memory = kept.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  let isFree = false;
  const free = (): void => {
    // The next one has it already.
    if (isFree) return;
    isFree = true;
    if (kept.length < MOST_KEPT) kept.push(memory);
  };
  return { memory, free };
}
