/** Asks servers of a tenant the same, at once, and gives those that are away a while to come back. */
import { RpcError } from '../../../copilot/index.ts';

/** How servers are asked. */
export interface AskServers<S, T> {
  /** Those that have to answer, as they are now. */
  readonly servers: () => readonly S[];
  readonly isServing: (server: S) => boolean;
  /** Whether it is certain to come back: it is waited for, however long that takes. */
  readonly isReturning: (server: S) => boolean;
  /** Rejects with an RpcError if the server refuses it, and with another error if it does not answer. */
  readonly ask: (server: S) => Promise<T>;
  /** Whether none of them will come back. */
  readonly areGone: () => boolean;
  /** Whether this answer makes all others needless. */
  readonly isEnough: (answer: T) => boolean;
  readonly setTimer: (ms: number, fn: () => void) => { cancel(): void };
  /** Calls `fn` when servers come or go. Returns the function that ends it. */
  readonly onChange: (fn: () => void) => () => void;
  /** Whether those that are away are given any time. */
  readonly mayWait?: boolean;
  /** Ms in which all have to answer. */
  readonly withinMs: number;
  /** Ms after which one that did not answer is asked again. */
  readonly retryMs: number;
}

/** What servers said. */
export interface Asked<S, T> {
  readonly answers: ReadonlyMap<S, T>;
  /** Those that have not answered, unless an answer was enough. */
  readonly missing: readonly S[];
}

/** Resolves when one has said enough, all have answered, none will any more, or the time is over. @throws RpcError if one refuses it */
export function askServers<S, T>(options: AskServers<S, T>): Promise<Asked<S, T>> {
  const { servers, isServing, isReturning, areGone, ask, isEnough, setTimer, onChange, withinMs, retryMs } = options;
  const { mayWait = true } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Asked<S, T>>();
  const answers = new Map<S, T>();
  const asking = new Set<S>();
  let retry: { cancel(): void } | undefined;
  let isOver = false;
  const finish = (end: () => void): void => {
    if (isOver) return;
    isOver = true;
    deadline.cancel();
    retry?.cancel();
    endListening();
    end();
  };
  const missing = (): S[] => servers().filter((server) => !answers.has(server));
  const step = (): void => {
    if (isOver) return;
    const left = missing();
    if (left.length === 0 || areGone()) return finish(() => resolve({ answers, missing: left }));
    for (const server of left) if (!asking.has(server) && isServing(server)) start(server);
    const isHopeless = (server: S): boolean => !asking.has(server) && !isServing(server) && !isReturning(server);
    if (!mayWait && left.every(isHopeless)) finish(() => resolve({ answers, missing: left }));
  };
  const retryLater = (): void => {
    retry ??= setTimer(retryMs, () => {
      retry = undefined;
      step();
    });
  };
  const start = (server: S): void => {
    asking.add(server);
    ask(server).then(
      (answer) => {
        answers.set(server, answer);
        if (isEnough(answer)) finish(() => resolve({ answers, missing: [] }));
        else step();
      },
      (error: unknown) => {
        asking.delete(server);
        if (error instanceof RpcError) finish(() => reject(error));
        else retryLater();
      },
    );
  };
  const isLate = (): void => {
    const left = missing();
    if (left.some(isReturning)) deadline = setTimer(withinMs, isLate);
    else finish(() => resolve({ answers, missing: left }));
  };
  let deadline = setTimer(withinMs, isLate);
  const endListening = onChange(step);
  step();
  return promise;
}
