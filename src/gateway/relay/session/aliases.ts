/** Messages that were sent again after their server was lost: clients know them by the ids that were acknowledged to them. */

/** Of one session. */
export class Aliases {
  /** The id that clients know, by the one that the server gave the message now. */
  readonly #known = new Map<string, string>();

  add(now: string, known: string): void {
    if (now !== known) this.#known.set(now, known);
  }

  /** Whether there is none, so that events pass as they are. */
  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  /** The body of an event with the ids that clients know. */
  applied(body: Buffer): Buffer {
    const used = [...this.#known].filter(([now]) => body.includes(now));
    if (used.length === 0) return body;
    return Buffer.from(used.reduce((text, [now, known]) => text.replaceAll(now, known), body.toString()));
  }

  /** The messages have come to their end. */
  clear(): void {
    this.#known.clear();
  }
}
