/**
 * Calls of clients by which a server asks the clients of a session in turn, and waits for an answer that is a call as well. Until then it takes no
 * `session.resume`; and behind one that waits for this, it takes no answer either, so that all of them wait for ever (docs/adr/0053-what-servers-ask.md).
 * So neither is sent while the server has the other one.
 */

const ASKS = new Set(['session.commands.execute', 'session.commands.invoke', 'session.ui.elicitation']);

/** Those of one session without an answer, and what they must not come beside. */
export class AskingCalls {
  #open = 0;
  #resumes = 0;
  #waiting: (() => void)[] = [];

  /** A call is sent. */
  begin(method: string): void {
    if (ASKS.has(method)) this.#open += 1;
  }

  /** It has its answer, or its server is lost. */
  end(method: string): void {
    if (!ASKS.has(method)) return;
    this.#open -= 1;
    if (!this.isOpen) this.#goOn();
  }

  get isOpen(): boolean {
    return this.#open > 0;
  }

  /** Resolves when none is open. */
  async none(): Promise<void> {
    while (this.isOpen) await this.#next();
  }

  /** A `session.resume` is sent. Returns what is to be called when that has its answer, or its server is lost. */
  resuming(): () => void {
    this.#resumes += 1;
    return () => {
      this.#resumes -= 1;
      if (this.#resumes === 0) this.#goOn();
    };
  }

  /** Whether a call must not be sent yet. */
  mustWait(method: string): boolean {
    return this.#resumes > 0 && ASKS.has(method);
  }

  /** Resolves when the server has no `session.resume`. */
  async resumed(): Promise<void> {
    while (this.#resumes > 0) await this.#next();
  }

  #next(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const goOn of waiting) goOn();
  }
}
