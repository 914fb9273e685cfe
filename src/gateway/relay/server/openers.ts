/** Who waits for the connection to a server with more than one request. */
import type { CopilotError } from '../../../copilot/index.ts';
import { ClientGoneError } from './server-answer.ts';

interface Opener {
  readonly resolve: () => void;
  readonly reject: (error: CopilotError) => void;
}

/** Of one server. */
export class Openers {
  readonly #waiting = new Set<Opener>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with {@link opened}. @throws what `gaveUp` is called with, or ClientGoneError when `gone` aborts */
  async wait(gone: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const opener = { resolve, reject };
    const leave = (): void => {
      this.#waiting.delete(opener);
      reject(new ClientGoneError());
    };
    this.#waiting.add(opener);
    gone?.addEventListener('abort', leave);
    try {
      await promise;
    } finally {
      gone?.removeEventListener('abort', leave);
    }
  }

  /** There is a connection. */
  opened(): void {
    for (const { resolve } of this.#take()) resolve();
  }

  /** There will be none. */
  gaveUp(error: CopilotError): void {
    for (const { reject } of this.#take()) reject(error);
  }

  #take(): readonly Opener[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    return waiting;
  }
}
