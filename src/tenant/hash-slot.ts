/** Spreads work evenly by name, without a memory of who has which slot. */
import { createHash } from 'node:crypto';

/** The slot of a text, from 0 to `slots - 1`: always the same for one text, with texts spread evenly over all slots. */
export function hashSlot(text: string, slots: number): number {
  return createHash('sha256').update(text).digest().readUInt32BE() % slots;
}
