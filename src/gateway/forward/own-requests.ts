/** Requests that the holder of a client makes of a home in the client's name. Their answers are not for the client. */
import { formatRequest, parseMessage, scanAnswerId, type Message, type RequestId } from '../../copilot/index.ts';
import type { Leg } from './leg.ts';

interface OwnRequest {
  readonly answered: (message: Message) => void;
  readonly failed: (error: Error) => void;
}

/** Those that a home has not answered. */
export class OwnRequests {
  readonly #newId: () => string;
  readonly #open = new Map<RequestId, OwnRequest>();

  constructor(newId: () => string) {
    this.#newId = newId;
  }

  get size(): number {
    return this.#open.size;
  }

  has(id: RequestId): boolean {
    return this.#open.has(id);
  }

  ask(leg: Pick<Leg, 'ask'>, method: string, params: object): Promise<Message> {
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const id = this.#newId();
    this.#open.set(id, { answered: resolve, failed: reject });
    leg.ask(formatRequest(id, method, params));
    return promise;
  }

  /** Takes a frame of the home if it answers one of them, and returns whether it does. */
  take(body: Buffer): boolean {
    const id = scanAnswerId(body);
    const own = id === undefined ? undefined : this.#open.get(id);
    if (id === undefined || own === undefined) return false;
    this.#open.delete(id);
    own.answered(parseMessage(body));
    return true;
  }

  /** None is answered any more. */
  fail(error: Error): void {
    for (const { failed } of this.#open.values()) failed(error);
    this.#open.clear();
  }
}
