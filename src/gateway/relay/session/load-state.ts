/** Whether the server of a session has it in memory, as far as is known. */

/** Of one session. */
export class LoadState {
  /** How often the server loaded it: an answer belongs to the load before its request. */
  loads = 0;
  /** How often the server was lost, one time after the other, while it loaded the session: that may be because of it. */
  lostLoads = 0;
  #isLoaded = false;
  #isLost = false;
  #mayBeHeld = false;
  #isEvicted = false;
  #isClosedQuietly = false;

  /** Whether the server has it in memory, for the connection that there is. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Whether its server was lost, and it was neither restored nor given up since. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Whether the server may have it in memory still, for the connection that was lost: it has ended none. */
  get mayBeHeld(): boolean {
    return this.#isLost && this.#mayBeHeld;
  }

  /** Whether it was unloaded so that another session has its place: it is loaded again when it is used, and not before. */
  get isEvicted(): boolean {
    return this.#isEvicted;
  }

  /** Whether the server has it in memory, or will have it again now that it was lost. */
  get hasPlace(): boolean {
    return this.#isLoaded || this.#isLost;
  }

  /** Whether it is being unloaded so that its clients hear nothing of it. */
  get isClosedQuietly(): boolean {
    return this.#isClosedQuietly;
  }

  loaded(): void {
    this.#isLoaded = true;
    this.#isLost = false;
    this.#isEvicted = false;
    this.loads += 1;
    this.lostLoads = 0;
  }

  unloaded(): void {
    this.#isLoaded = false;
  }

  /** The server has unloaded it for another one. */
  evicted(): void {
    this.#isEvicted = true;
    this.#isLost = false;
  }

  /** The server's process, or the connection, is gone. `isSilent`: the server may be there, and does not know of it. */
  lost(isSilent: boolean): void {
    this.#isLoaded = false;
    this.#isLost = true;
    this.#mayBeHeld = isSilent;
  }

  /** It is given up, or deleted. */
  ended(): void {
    this.#isLoaded = false;
    this.#isLost = false;
  }

  /** Has the server unload it by `close`. What it says of that is for nobody. */
  async closedQuietly(close: () => Promise<unknown>): Promise<void> {
    this.#isClosedQuietly = true;
    try {
      await close();
    } finally {
      this.#isClosedQuietly = false;
    }
  }
}
