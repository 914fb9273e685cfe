/**
 * Answers to what a session asked that are given at the same time, by one client twice or by several. A server that has just loaded the session may
 * take any of two that it has got, so it gets one after the other, and none after one that it took.
 */
import { onAbort } from '../../../kube/clock/abort.ts';

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
  /** Those that wait behind the one that was given, by the id of the question, each with what ends listening to its client. */
  readonly #waiting = new Map<string, Map<AnswerInTurn, Disposable>>();

  /** Gives it now, or when those before it were not taken. */
  give(requestId: string, answer: AnswerInTurn): void {
    const { gone, forget } = answer;
    const waiting = this.#waiting.get(requestId);
    if (waiting === undefined) return this.#give(requestId, answer, new Map());
    const listening = onAbort(gone, () => {
      if (waiting.delete(answer)) forget();
    });
    waiting.set(answer, listening);
  }

  #give(requestId: string, { give }: AnswerInTurn, waiting: Map<AnswerInTurn, Disposable>): void {
    this.#waiting.set(requestId, waiting);
    give((isTaken) => {
      this.#waiting.delete(requestId);
      const [next] = waiting.keys();
      if (isTaken || next === undefined) {
        for (const each of waiting.keys()) take(waiting, each).refuse();
        return;
      }
      this.#give(requestId, take(waiting, next), waiting);
    });
  }
}

/** Takes it out: its client may go on for long, and must not keep it. */
function take(waiting: Map<AnswerInTurn, Disposable>, answer: AnswerInTurn): AnswerInTurn {
  waiting.get(answer)?.[Symbol.dispose]();
  waiting.delete(answer);
  return answer;
}
