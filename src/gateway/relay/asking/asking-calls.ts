/**
 * Calls of clients by which a server asks the clients of a session in turn, and waits for an answer that is a call as well. Until then it takes no
 * `session.resume`; and behind one that waits for this, it takes no answer either, so that all of them wait for ever (docs/adr/0053-what-servers-ask.md).
 */

const ASKS = new Set(['session.commands.execute', 'session.commands.invoke', 'session.ui.elicitation']);

/** Those of one session without an answer. */
export class AskingCalls {
  #open = 0;
  #waiting: (() => void)[] = [];

  /** A call is sent. */
  begin(method: string): void {
    if (ASKS.has(method)) this.#open += 1;
  }

  /** It has its answer, or its server is lost. */
  end(method: string): void {
    if (!ASKS.has(method)) return;
    this.#open -= 1;
    if (this.isOpen) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const goOn of waiting) goOn();
  }

  get isOpen(): boolean {
    return this.#open > 0;
  }

  /** Resolves when none is open. */
  async none(): Promise<void> {
    while (this.isOpen) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }
}
