/** Drains the server of a home: turns end, no new ones begin, the sessions are closed, and what clients want meanwhile is held in order. */
import type { Clock } from '../../../kube/clock/clock.ts';
import type { GatewayServer, StatedDrain } from '../../model.ts';
import { HeldCalls, type HeldCall } from '../held-calls.ts';
import type { RelayLimits } from '../model.ts';
import type { DrainEnd } from '../observer.ts';
import { Timers } from '../timers.ts';

/**
 * `Serving`: it does not drain. `Ending`: running turns end, and what would start one is held. `Closing`: sessions are closed, and every
 * call is held. `Drained`: nothing of this process is connected to the pod any more.
 */
export type DrainPhase = 'Serving' | 'Ending' | 'Closing' | 'Drained';

/** A call to a server that may drain. */
export interface EnteringCall extends HeldCall {
  readonly go: () => void;
}

/** How a server is drained. */
export interface DrainWork {
  readonly clock: Clock;
  readonly limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes' | 'drainReturnMs'>;
  /** Turns and background tasks that run on the server. */
  readonly countTurns: () => Promise<number>;
  /** Has the server unload all sessions, whatever they do, as long as it `isDraining`: some may be busy until long after. */
  readonly closeSessions: (isDraining: () => boolean) => Promise<unknown>;
  /** Whether there is a connection, or one is being made. */
  readonly isConnected: () => boolean;
  /** Calls that the server has not answered. */
  readonly openCalls: () => number;
  /** Closes the connection. Sessions keep what they wait for. */
  readonly disconnect: () => void;
  /** The server can be used again; what was held follows. */
  readonly onServing: () => void;
  readonly onEnd: (end: DrainEnd) => void;
}

/** How often turns are counted, in ms. */
const COUNT_MS = 200;
/** For closing sessions, and then for the answers to calls under way, in ms each: the operator waits ten seconds beyond the deadline. */
const CLOSE_MS = 3_000;

const STARTS: ReadonlySet<string> = new Set(['session.send', 'session.sendMessages']);

/** Whether a call of this method starts a turn. */
export function startsTurn(method: string): boolean {
  return STARTS.has(method);
}

/** The drains of one server, one after the other. */
export class HomeDrain {
  readonly #work: DrainWork;
  #phase: DrainPhase = 'Serving';
  /** What is drained, or was last. */
  #stated: StatedDrain | undefined;
  /** Whether a pod of the server is there, or is to follow, as far as is stated. */
  #comesBack = true;
  /** When the stated one was seen first, monotonic ms: the wall clock may be set while it drains. */
  #seenAt = -Infinity;
  /** Its deadline, monotonic ms. */
  #deadline = -Infinity;
  /** UID of the drained pod, which is not connected to any more while its drain is stated. */
  #avoided: string | undefined;
  #turns = 0;
  readonly #held: HeldCalls<EnteringCall>;
  /** Which attempt runs. */
  #attempt: symbol | undefined;
  readonly #timers: Timers<'Return' | 'Replacement'>;

  constructor(work: DrainWork) {
    this.#work = work;
    this.#held = new HeldCalls(work.limits);
    this.#timers = new Timers((ms, fn) => work.clock.setTimer(ms, fn));
  }

  get phase(): DrainPhase {
    return this.#phase;
  }

  /** Turns that it waits for, as far as they were counted. */
  get turns(): number {
    return this.#turns;
  }

  /** Whether another pod of the server is to follow, as far as is stated. */
  get comesBack(): boolean {
    return this.#comesBack;
  }

  /** Whether the pod of this drain is left alone by this process. */
  isDrained({ epoch }: StatedDrain): boolean {
    return this.#phase === 'Drained' && this.#stated?.epoch === epoch;
  }

  /** Where a connection may go: not to a pod that was drained. */
  reachable(located: GatewayServer | undefined): GatewayServer | undefined {
    return located?.podUID === this.#avoided ? undefined : located;
  }

  /** What the operator states of the server now, and where it is. */
  update(stated: StatedDrain | undefined, located: GatewayServer | undefined): void {
    const isOfPod = stated !== undefined && (located === undefined || located.podUID === stated.podUID);
    if (isOfPod) return this.#state(stated);
    if (located !== undefined) this.#comesBack = true;
    if (this.#phase === 'Serving') return void (this.#avoided = undefined);
    // The next pod does not serve yet, or the one before it is all that is known.
    if (located === undefined && this.#comesBack) return this.#awaitReturn();
    this.#serve(located === undefined ? this.#avoided : undefined);
  }

  /**
   * Lets a call `go` now or, if the server drains, when it can be used again; refuses it if as many calls as are allowed wait already. `Start`:
   * it starts or loads something.
   */
  enter(kind: 'Start' | 'Any', call: EnteringCall, refuse: () => void): void {
    if (!this.holds(kind)) return call.go();
    if (!this.#held.hold(call)) refuse();
  }

  /** Whether what starts something waits. */
  get holdsStarts(): boolean {
    return this.holds('Start');
  }

  /** Whether every call waits for the pod that follows. */
  get isReturning(): boolean {
    return this.#comesBack && this.holds('Any');
  }

  /** Resolves when calls that start nothing are not held. */
  whenOpen(): Promise<void> {
    return new Promise((go) => this.enter('Any', { bytes: 0, gone: undefined, go, forget: go }, go));
  }

  /** Drains no more, and holds nothing. */
  close(): void {
    this.#serve(undefined);
  }

  #state(stated: StatedDrain): void {
    const before = this.#stated;
    const { clock } = this.#work;
    this.#stated = stated;
    if (before?.epoch !== stated.epoch) this.#seenAt = clock.monotonic();
    this.#deadline = this.#seenAt + stated.timeoutMs;
    this.#comesBack = stated.comesBack;
    // Nothing is connected to whatever pod it is of.
    if (this.#phase === 'Drained') return this.#drained();
    if (this.#phase !== 'Serving' || before?.epoch === stated.epoch) return;
    if (!this.#work.isConnected()) return this.#drained();
    this.#phase = 'Ending';
    this.#turns = 0;
    const attempt = Symbol(stated.server);
    this.#attempt = attempt;
    void this.#run(attempt);
  }

  async #run(attempt: symbol): Promise<void> {
    const { clock, closeSessions, openCalls, disconnect, onEnd } = this.#work;
    const end = await this.#awaitTurns(attempt);
    if (this.#attempt !== attempt) return;
    this.#phase = 'Closing';
    const isClosing = (): boolean => this.#attempt === attempt && this.#phase === 'Closing';
    await this.#within(CLOSE_MS, closeSessions(isClosing));
    for (let left = CLOSE_MS; this.#attempt === attempt && openCalls() > 0 && left > 0; left -= COUNT_MS) {
      await clock.sleep(COUNT_MS);
    }
    if (this.#attempt !== attempt) return;
    // The sessions that are cut look for the next pod at once, and must not find this one.
    this.#avoided = this.#stated?.podUID;
    disconnect();
    onEnd(end);
    this.#drained();
  }

  /** Resolves when no turn runs, or at the deadline. */
  async #awaitTurns(attempt: symbol): Promise<DrainEnd> {
    const { clock, countTurns } = this.#work;
    while (this.#attempt === attempt) {
      const leftMs = this.#deadline - clock.monotonic();
      if (leftMs <= 0) return 'DeadlinePassed';
      const turns = await this.#within(leftMs, countTurns());
      if (turns === 0) return 'Finished';
      this.#turns = turns ?? this.#turns;
      await clock.sleep(Math.max(1, Math.min(COUNT_MS, leftMs)));
    }
    return 'Finished';
  }

  /** The result, or undefined after `ms`. */
  async #within<T>(ms: number, result: Promise<T>): Promise<T | undefined> {
    const { promise: isOver, resolve } = Promise.withResolvers<undefined>();
    const timer = this.#work.clock.setTimer(ms, () => resolve(undefined));
    try {
      return await Promise.race([result, isOver]);
    } finally {
      timer.cancel();
    }
  }

  #drained(): void {
    this.#phase = 'Drained';
    this.#turns = 0;
    this.#avoided = this.#stated?.podUID;
    if (this.holds('Any')) this.#awaitReplacement();
    else this.#release();
  }

  /** Whether a call of this kind waits. Of a server that does not come back nothing is held: its clients are told. */
  holds(kind: 'Start' | 'Any'): boolean {
    if (this.#phase === 'Ending') return kind === 'Start';
    return this.#phase === 'Closing' || (this.#phase === 'Drained' && this.#comesBack);
  }

  /** Nobody may be there to replace the pod, such as while no operator runs: clients do not wait for that for ever. */
  #awaitReplacement(): void {
    const { clock, limits } = this.#work;
    const leftMs = Math.max(0, this.#deadline - clock.monotonic());
    this.#timers.start('Replacement', leftMs + limits.drainReturnMs, () => this.#serve(undefined));
  }

  #awaitReturn(): void {
    this.#timers.start('Return', this.#work.limits.drainReturnMs, () => this.#serve(this.#avoided));
  }

  #serve(avoided: string | undefined): void {
    const { onEnd, onServing } = this.#work;
    if (this.#phase === 'Ending' || this.#phase === 'Closing') onEnd('Withdrawn');
    this.#attempt = undefined;
    this.#timers.stopAll();
    this.#phase = 'Serving';
    this.#avoided = avoided;
    onServing();
    this.#release();
  }

  #release(): void {
    for (const { go } of this.#held.takeAll()) go();
  }
}
