/** The calls to one server: their ids, who waits for the answer to each, and those that wait for the connection. */
import { formatRequest } from '../../copilot/index.ts';
import type { RelayLimits, ServerAnswer } from './model.ts';

/** Called once with the answer, or with what stands in place of one. */
export type Answered = (answer: ServerAnswer) => void;

interface Queued {
  readonly id: number;
  readonly body: string;
  readonly answered: Answered;
}

/** Answers come in any order; what waits is sent in the order in which it came. */
export class Calls {
  readonly #limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes'>;
  /** Those that were sent, by their id on this leg. Ids are never used again, not even by another connection. */
  readonly #sent = new Map<number, Answered>();
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #lastId = 0;

  constructor(limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes'>) {
    this.#limits = limits;
  }

  /** Those without an answer, sent or not. */
  get size(): number {
    return this.#sent.size + this.#queue.length;
  }

  /** Whether some wait for the connection. */
  get hasQueued(): boolean {
    return this.#queue.length > 0;
  }

  /** The body of the frame of a call that is sent now. */
  send(method: string, params: object, answered: Answered): string {
    const { id, body } = this.#format(method, params);
    this.#sent.set(id, answered);
    return body;
  }

  /** Keeps a call until there is a connection. Returns false if as many calls, or bytes of them, as are allowed wait already. */
  enqueue(method: string, params: object, answered: Answered): boolean {
    const { dialQueue, dialQueueBytes } = this.#limits;
    const call = this.#format(method, params);
    const bytes = this.#queuedBytes + call.body.length;
    if (this.#queue.length >= dialQueue || (this.#queue.length > 0 && bytes > dialQueueBytes)) return false;
    this.#queue.push({ ...call, answered });
    this.#queuedBytes = bytes;
    return true;
  }

  /** The bodies of the frames of all calls that waited, which are sent now. */
  release(): string[] {
    const queue = this.#takeQueue();
    for (const { id, answered } of queue) this.#sent.set(id, answered);
    return queue.map(({ body }) => body);
  }

  /** Passes on an answer. An id that is not open is a server's mistake that harms nobody. */
  take(id: number, answer: ServerAnswer): void {
    const answered = this.#sent.get(id);
    this.#sent.delete(id);
    answered?.(answer);
  }

  /** Forgets all calls. Returns who waits for those that were sent, and for those that were not. */
  lose(): { readonly sent: readonly Answered[]; readonly notSent: readonly Answered[] } {
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    return { sent, notSent: this.#takeQueue().map(({ answered }) => answered) };
  }

  #takeQueue(): Queued[] {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    return queue;
  }

  #format(method: string, params: object): { readonly id: number; readonly body: string } {
    this.#lastId += 1;
    return { id: this.#lastId, body: formatRequest(this.#lastId, method, params) };
  }
}
