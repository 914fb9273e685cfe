/** What servers ask one client, until it has answered. */
import { formatRequest, isObject, type RequestId } from '../../../copilot/index.ts';
import type { ClientAnswer } from '../model.ts';

/** Of one client. */
export class ClientQuestions {
  /** By their ids on this leg. Most clients are never asked. */
  #asked: Map<number, (answer: ClientAnswer) => void> | undefined;
  #last: number;

  /** `before`: the last id that the client was asked with, by another home. */
  constructor(before: number) {
    this.#last = before;
  }

  /** Returns the frame that asks, and the function that stops waiting. */
  ask(method: string, params: unknown, answered: (answer: ClientAnswer) => void): { body: string; drop: () => void } {
    this.#last += 1;
    const id = this.#last;
    this.#asked ??= new Map();
    this.#asked.set(id, answered);
    const body = formatRequest(id, method, isObject(params) ? params : {});
    return { body, drop: () => void this.#asked?.delete(id) };
  }

  /** An answer to a request that was never sent is ignored. */
  answered(id: RequestId | null, answer: ClientAnswer): void {
    if (typeof id !== 'number') return;
    const answered = this.#asked?.get(id);
    this.#asked?.delete(id);
    answered?.(answer);
  }

  /** The client is gone: nobody is answered any more. */
  clear(): void {
    this.#asked?.clear();
  }
}
