/** What may wait in a guard, of all sessions and connections together. */
export class Room {
  readonly #most: { readonly calls: number; readonly bytes: number };
  #calls = 0;
  #bytes = 0;

  constructor(most: { readonly calls: number; readonly bytes: number }) {
    this.#most = most;
  }

  /** Whether there is room for one more, which has it then until it leaves. */
  enter(bytes: number): boolean {
    if (this.#calls >= this.#most.calls || this.#bytes + bytes > this.#most.bytes) return false;
    this.#calls += 1;
    this.#bytes += bytes;
    return true;
  }

  leave(bytes: number): void {
    this.#calls -= 1;
    this.#bytes -= bytes;
  }
}
