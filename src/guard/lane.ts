/** The order of what concerns one session, over all connections: grants one after the other, and no load while a close is under way. */

/** What waits for its turn: a grant, a call that has the session for itself, or any other call. */
export type EntryKind = 'Grant' | 'Exclusive' | 'Plain';

/** One that has come to the lane. */
interface Entry {
  readonly kind: EntryKind;
  readonly begin: () => void;
}

/** A session with something under way. */
export class Lane {
  readonly #waiting: Entry[] = [];
  #grant = false;
  /** A load, close or deletion whose answer is not there. */
  #exclusive: 'Close' | 'Else' | undefined;
  #isPumping = false;

  /** Nothing is under way and nothing waits. */
  get isFree(): boolean {
    return this.#waiting.length === 0 && !this.#grant && this.#exclusive === undefined;
  }

  /** Calls `begin` when it is its turn, maybe at once. A grant or an exclusive call for which that returns true has to leave. */
  enter(kind: EntryKind, begin: () => boolean, isClose = false): void {
    const occupied = (): void => {
      // It may leave before it returns.
      if (kind === 'Grant') this.#grant = true;
      if (kind === 'Exclusive') this.#exclusive = isClose ? 'Close' : 'Else';
      if (begin()) return;
      if (kind === 'Grant') this.#grant = false;
      if (kind === 'Exclusive') this.#exclusive = undefined;
    };
    this.#waiting.push({ kind, begin: occupied });
    this.#pump();
  }

  /** What {@link enter} began has ended. */
  left(kind: Exclude<EntryKind, 'Plain'>): void {
    if (kind === 'Grant') this.#grant = false;
    else this.#exclusive = undefined;
    this.#pump();
  }

  #pump(): void {
    // One that begins may refuse at once, which lets the next one begin.
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let at = this.#next(); at !== -1; at = this.#next()) this.#waiting.splice(at, 1)[0]?.begin();
    this.#isPumping = false;
  }

  /** A grant waits for no call: under a new one those that wait may be refused. An exclusive call waits for those before it. */
  #next(): number {
    if (this.#grant) return -1;
    let isTaken = this.#exclusive !== undefined;
    for (const [at, { kind }] of this.#waiting.entries()) {
      if (kind === 'Grant') return at;
      if (kind === 'Plain' ? this.#exclusive !== 'Close' : !isTaken) return at;
      isTaken ||= kind === 'Exclusive';
    }
    return -1;
  }
}
