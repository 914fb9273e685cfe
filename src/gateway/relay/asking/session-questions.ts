/** What the server of one session asks its clients, by events or by requests, and what they have answered a moment ago. */
import type { RequestId } from '../../../copilot/index.ts';
import { Asked } from './asked.ts';
import type { Attached } from '../setup/attached.ts';
import type { WaitKind } from '../journal/events.ts';
import { GivenAnswers } from './given-answers.ts';
import type { ClientAnswer, Declaration, QuestionOptions, RelayLimits, SessionClient } from '../model.ts';
import type { NobodyDecision } from '../nobody.ts';
import type { RelayObserver } from '../observer.ts';
import { SETTLES_MS } from '../turns/prompts.ts';
import type { Timers } from '../timers.ts';
import { Waits } from './waits.ts';

/** Ms in which the clients of a home that is gone come to the next one. */
const RESERVED_MS = 5000;

export interface SessionQuestionsOptions {
  readonly limits: Pick<RelayLimits, 'waits' | 'waitBytes' | 'firstAskedMs'>;
  readonly observer: Pick<RelayObserver, 'unattended' | 'hookPassed'>;
  /** Ms in which nobody can answer what it waits for, after which it is denied. Looked at when such a time begins. */
  readonly permissionTimeoutMs: () => number;
  /** Whether so many bytes more may be kept of the tenant. */
  readonly mayKeep: (bytes: number) => boolean;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly setTimer: (ms: number, fn: () => void) => { cancel(): void };
  /** Answers a request of the server. */
  readonly answer: (id: number | string, answer: ClientAnswer) => void;
  /** Something is answered in their place at once, for this reason. It is told once. */
  readonly onNobody: QuestionOptions['onNobody'];
  /** Answers an event in place of the clients. */
  readonly deny: (requestId: string, kind: WaitKind) => void;
}

/** Of one session. */
export class SessionQuestions {
  /** What it waits for since an event. */
  readonly waits: Waits;
  /** Its requests. */
  readonly asked: Asked;
  readonly answers = new GivenAnswers();
  readonly #now: () => number;
  readonly #timers: Pick<Timers<'Answers' | 'Reserved'>, 'start'>;

  constructor(
    options: SessionQuestionsOptions,
    attached: Attached,
    timers: Pick<Timers<'Answers' | 'Reserved'>, 'start'>,
    hasInterest: (type: string) => boolean,
    turnUser: () => string | undefined,
    isExpected: QuestionOptions['isExpected'],
  ) {
    const { limits, observer, permissionTimeoutMs, mayKeep, setTimer, now, answer, deny } = options;
    const told = new Set<string>();
    const onNobody = (asked: string, why: NobodyDecision): void => {
      const line = `${asked} ${why.reason}`;
      if (!told.has(line)) options.onNobody(asked, why);
      told.add(line);
    };
    this.#now = now;
    this.#timers = timers;
    const setDeadline = (fn: () => void) => setTimer(permissionTimeoutMs(), fn);
    const setAlone = (fn: () => void) => setTimer(limits.firstAskedMs, fn);
    const shared = {
      limit: limits.waits,
      maxBytes: limits.waitBytes,
      attached: () => attached.entries,
      setDeadline,
      setAlone,
      turnUser,
      mayKeep,
      isExpected,
      onNobody,
      observer,
    };
    this.asked = new Asked({ ...shared, answer });
    this.waits = new Waits({ ...shared, hasInterest, deny, twins: this.asked });
  }

  /** Those without an answer. */
  get size(): number {
    return this.waits.size + this.asked.size;
  }

  get bytes(): number {
    return this.waits.bytes + this.asked.bytes + this.answers.bytes;
  }

  /** Whether permissions are all that is asked. */
  get areForPermissions(): boolean {
    return this.waits.isForPermissions && this.asked.size === 0;
  }

  /** Takes a request of the server, with a frame of `bytes`. Returns false if it is for no client, or too much is open. */
  request(id: RequestId, method: string, params: Readonly<Record<string, unknown>>, bytes: number): boolean {
    if (!this.asked.take(id, method, params, bytes)) return false;
    this.waits.pair(id, method, params);
    return true;
  }

  /** The turn that runs is being aborted. */
  aborted(): void {
    this.waits.aborted();
    this.asked.aborted();
  }

  /** The server has nothing to do. */
  turnEnded(): void {
    this.waits.turnEnded();
    this.asked.turnEnded();
  }

  /** Hands a client what it can answer, but for what it `had` before. */
  offer(client: SessionClient, declaration: Declaration, had: readonly string[]): void {
    this.asked.offer(client, declaration);
    this.waits.offer(client, declaration, had);
  }

  leave(client: SessionClient): void {
    this.asked.leave(client);
    this.waits.leave(client);
  }

  /** The server has answered a call with this result, which may be an answer to what it had asked; undefined: it is about to get that. */
  answered(
    method: string,
    params: Readonly<Record<string, unknown>>,
    result?: () => Readonly<Record<string, unknown>>,
  ): void {
    if (this.answers.keep({ method, params }, result, this.#now())) this.#forgetLater();
  }

  /** The server has the session again, and was given again what it may have lost. */
  loaded(): void {
    this.#forget();
  }

  #forget(): void {
    if (this.answers.forgetSettled(this.#now())) this.#forgetLater();
  }

  #forgetLater(): void {
    this.#timers.start('Answers', SETTLES_MS, () => this.#forget());
  }

  /** Clients of the home before come in a moment. After it, what waits for one of them goes to whoever can answer. */
  reserve(): void {
    this.#timers.start('Reserved', RESERVED_MS, () => this.waits.release());
  }

  /** The server is lost: what it has on its disk is asked still, and nothing else. */
  lost(): void {
    this.answers.forgetSettled(this.#now());
    this.waits.suspend();
    this.asked.clear();
  }

  /** Nobody waits for an answer any longer. */
  clear(): void {
    this.waits.clear();
    this.asked.clear();
  }
}
