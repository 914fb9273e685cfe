/** Answers to what a session asked its clients, given so lately that its server may lose them: the question is then open again, and nobody is asked twice. */
import type { ReplayedCall } from '../setup/replay.ts';
import { SETTLES_MS } from '../turns/prompts.ts';

/** What a client has called. */
interface ReplayedAnswer extends ReplayedCall {
  readonly params: Readonly<Record<string, unknown>>;
}

/** Of one session; more than these are not kept. */
const MOST = 64;

/** Calls by which clients answer. */
const ANSWERS = /\.(handlePending\w+|respondToQueuedCommand)$/;

/** Id of the question that a call answers; undefined: it answers none. */
export function questionOf(method: string, params: Readonly<Record<string, unknown>>): string | undefined {
  const { requestId } = params;
  return typeof requestId === 'string' && ANSWERS.test(method) ? requestId : undefined;
}

/** Whether the server says with this result that the answer counts. */
export function isTaken({ success }: Readonly<Record<string, unknown>>): boolean {
  return success !== false;
}

/** Of one session. */
export class GivenAnswers {
  /** By the id of the question, in the order of the calls. */
  readonly #calls = new Map<string, ReplayedCall & { readonly at: number; readonly length: number }>();

  /** Characters of the calls that are kept, as JSON. */
  get bytes(): number {
    return [...this.#calls.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * The server has answered a call, which may be such an answer, with this result: of several, one counts. Undefined: it is the gateway's own, and
   * is about to be given. `now`: monotonic ms. Returns whether it is kept.
   */
  keep(
    { method, params }: ReplayedAnswer,
    result: (() => Readonly<Record<string, unknown>>) | undefined,
    now: number,
  ): boolean {
    const requestId = questionOf(method, params);
    if (requestId === undefined) return false;
    this.forgetSettled(now);
    if (result === undefined ? this.#calls.has(requestId) : !isTaken(result())) return false;
    this.#calls.delete(requestId);
    if (this.#calls.size >= MOST) return false;
    this.#calls.set(requestId, { method, params, at: now, length: JSON.stringify(params).length });
    return true;
  }

  /** The answer to a question that is open again. */
  find(requestId: string): ReplayedCall | undefined {
    return this.#calls.get(requestId);
  }

  /** Forgets those that are on the disk by now. Returns whether there are others. */
  forgetSettled(now: number): boolean {
    for (const [requestId, { at }] of this.#calls) if (now - at >= SETTLES_MS) this.#calls.delete(requestId);
    return this.#calls.size > 0;
  }
}
