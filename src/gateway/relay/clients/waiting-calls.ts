/** Calls of one client that wait until something is found out about the session that they name, each session's in their order. */
export class WaitingCalls<C> {
  readonly #waiting = new Map<string, C[]>();
  readonly #gone: () => AbortSignal;
  readonly #forget: (call: C) => void;
  #isListening = false;

  /** When `gone` aborts, their client is gone: they are forgotten, and `forget` is called with each. It is asked for when one waits. */
  constructor(gone: () => AbortSignal, forget: (call: C) => void) {
    this.#gone = gone;
    this.#forget = forget;
  }

  /** Whether calls about the session wait: a further one must not overtake them. */
  has(sessionId: string): boolean {
    return this.#waiting.has(sessionId);
  }

  /** Adds a call. For the first one `find` is called; what it resolves with is then called with each. It must not reject. */
  add(sessionId: string, call: C, find: () => Promise<(call: C) => void>): void {
    const waiting = this.#waiting.get(sessionId);
    if (waiting !== undefined) return void waiting.push(call);
    this.#listen();
    this.#waiting.set(sessionId, [call]);
    void find().then((goOn) => {
      const calls = this.#waiting.get(sessionId) ?? [];
      this.#waiting.delete(sessionId);
      for (const each of calls) goOn(each);
    });
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#gone().addEventListener('abort', () => {
      const waiting = [...this.#waiting.values()].flat();
      this.#waiting.clear();
      waiting.forEach(this.#forget);
    });
  }
}
