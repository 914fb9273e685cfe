/** The calls to one server: their ids, who waits for the answer to each, and those that wait for the connection. */
import { formatRequest } from '../../../copilot/index.ts';
import { HeldCalls, type HeldCall } from '../held-calls.ts';
import type { RelayLimits, ServerAnswer } from '../model.ts';
import { clientGone } from './server-answer.ts';

/** Called once with the answer, or with what stands in place of one. */
export type Answered = (answer: ServerAnswer) => void;

interface Queued extends HeldCall {
  readonly id: number;
  readonly body: string;
  readonly answered: Answered;
}

/**
 * One that was sent. It lets go of who waits when it is answered: the table of a Map that is replaced, as it is every few dozens of calls, keeps what
 * was in it until V8's next full collection.
 */
interface Sent {
  answered: Answered | undefined;
}

/** Answers come in any order; what waits is sent in the order in which it came. */
export class Calls {
  /** By their id on this leg. Ids are never used again, not even by another connection. */
  readonly #sent = new Map<number, Sent>();
  readonly #queue: HeldCalls<Queued>;
  #lastId = 0;

  constructor(limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes'>) {
    this.#queue = new HeldCalls(limits);
  }

  /** Those without an answer, sent or not. */
  get size(): number {
    return this.#sent.size + this.#queue.size;
  }

  /** Whether some wait for the connection. */
  get hasQueued(): boolean {
    return this.#queue.size > 0;
  }

  /** The body of the frame of a call that is sent now. */
  send(method: string, params: object, answered: Answered): string {
    const { id, body } = this.#format(method, params);
    this.#sent.set(id, { answered });
    return body;
  }

  /**
   * Keeps a call until there is a connection, or its client is gone. Returns false if as many calls, or bytes of them, as are allowed wait
   * already.
   */
  enqueue(method: string, params: object, answered: Answered, gone?: AbortSignal): boolean {
    const call = this.#format(method, params);
    const forget = (): void => answered(clientGone());
    return this.#queue.hold({ ...call, bytes: call.body.length, answered, gone, forget });
  }

  /** The bodies of the frames of all calls that waited, which are sent now. */
  release(): string[] {
    const queue = this.#queue.takeAll();
    for (const { id, answered } of queue) this.#sent.set(id, { answered });
    return queue.map(({ body }) => body);
  }

  /** Whether the call was sent and is not answered. */
  has(id: number): boolean {
    return this.#sent.has(id);
  }

  /** Passes on an answer. */
  take(id: number, answer: ServerAnswer): void {
    const sent = this.#sent.get(id);
    this.#sent.delete(id);
    if (sent === undefined) return;
    const { answered } = sent;
    sent.answered = undefined;
    answered?.(answer);
  }

  /** Forgets the calls that were sent. Returns who waits for their answers. */
  loseSent(): readonly Answered[] {
    const sent = [...this.#sent.values()].flatMap(({ answered }) => answered ?? []);
    this.#sent.clear();
    return sent;
  }

  /** Forgets the calls that were not sent. Returns who waits for their answers. */
  loseQueued(): readonly Answered[] {
    return this.#queue.takeAll().map(({ answered }) => answered);
  }

  #format(method: string, params: object): { readonly id: number; readonly body: string } {
    this.#lastId += 1;
    return { id: this.#lastId, body: formatRequest(this.#lastId, method, params) };
  }
}
