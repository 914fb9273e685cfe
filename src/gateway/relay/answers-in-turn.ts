/**
 * Answers to what a session asked that are given at the same time, by one client twice or by several. A server that has just loaded the session may
 * take any of two that it has got, so it gets one after the other, and none after one that it took.
 */

/** One of them. */
export interface AnswerInTurn {
  /** Aborts when its client goes; undefined: it is the gateway's own. */
  readonly gone: AbortSignal | undefined;
  /** Gives it to the server, and calls `given` when that has taken it or not. */
  readonly give: (given: (isTaken: boolean) => void) => void;
  /** Another one was taken. */
  readonly refuse: () => void;
  /** Its client is gone while it waited. */
  readonly forget: () => void;
}

/** Of one session. */
export class AnswersInTurn {
  /** Those that wait behind the one that was given, by the id of the question. */
  readonly #waiting = new Map<string, Set<AnswerInTurn>>();

  /** Gives it now, or when those before it were not taken. */
  give(requestId: string, answer: AnswerInTurn): void {
    const { gone, forget } = answer;
    const waiting = this.#waiting.get(requestId);
    if (waiting === undefined) return this.#give(requestId, answer, new Set());
    waiting.add(answer);
    const onGone = (): void => {
      if (waiting.delete(answer)) forget();
    };
    gone?.addEventListener('abort', onGone, { once: true });
  }

  #give(requestId: string, { give }: AnswerInTurn, waiting: Set<AnswerInTurn>): void {
    this.#waiting.set(requestId, waiting);
    give((isTaken) => {
      this.#waiting.delete(requestId);
      const [next] = waiting;
      if (isTaken || next === undefined) return waiting.forEach(({ refuse }) => refuse());
      waiting.delete(next);
      this.#give(requestId, next, waiting);
    });
  }
}
