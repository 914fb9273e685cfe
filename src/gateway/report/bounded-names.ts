/** Names that strangers choose, as values of a label: a bounded number of them. */

/** What every further name counts as. */
export const OTHER = 'Other';
/** The alphabet of methods; anything else may be of any length, and look like anything. */
const NAME = /^[A-Za-z][A-Za-z0-9_.]{0,63}$/;

/** The first names that come, up to a limit. */
export class BoundedNames {
  readonly #limit: number;
  readonly #known = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The name, or `Other`. */
  valueOf(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#limit || !NAME.test(name)) return OTHER;
    this.#known.add(name);
    return name;
  }
}
