/** Keys that processes share, by name. */

/** One key, and the name by which it is referred to. */
export interface NamedKey {
  readonly id: string;
  readonly key: Buffer;
}

/** The keys that are known now. */
export interface Keys {
  /** All that are valid, the present one first; none while they were never read. */
  readonly all: readonly NamedKey[];
}
