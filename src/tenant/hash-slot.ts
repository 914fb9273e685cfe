import { createHash } from 'node:crypto';

/** One of so many slots, from 0 on: always the same for a text, and texts spread evenly over all of them. */
export function hashSlot(text: string, slots: number): number {
  return createHash('sha256').update(text).digest().readUInt32BE() % slots;
}
