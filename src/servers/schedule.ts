/** When a user of a server's connection runs next. */
import type { Timers, UnhealthyReason } from '../copilot/index.ts';
import { retryDelay } from './retry.ts';

/** What schedules are made with. */
export interface ScheduleContext {
  readonly clock: { monotonic(): number };
  readonly random: () => number;
  readonly timers: ScheduleTimers;
}

/** Timers that say when they fire. */
export interface ScheduleTimers extends Timers {
  /** When a timer that is set at `now` for `ms` fires, monotonic ms. */
  dueAt(now: number, ms: number): number;
}

/** The user that runs. */
export interface ScheduleOptions {
  /** Ms until a run that is due may start, because the connection must be dialled first; 0: at once. */
  readonly dialDelayMs: () => number;
  /** Called when a run is due. */
  readonly onDue: () => void;
}

/** The timer of a user that makes one run (a check, a poll) at a time, and for how long its runs have failed. */
export class Schedule {
  readonly #context: ScheduleContext;
  readonly #options: ScheduleOptions;
  readonly #wake = (): void => this.#start();
  #timer: ReturnType<Timers['setTimer']> | undefined;
  #dueAt = 0;
  #busy = false;
  #stopped = false;
  /** Monotonic ms of the first failure since the last success. */
  #failingSince: number | undefined;
  /** Incremented when the server moves or is removed: the outcome of a run that started before is void. */
  #generation = 0;

  constructor(context: ScheduleContext, options: ScheduleOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** When the next run is due, monotonic ms: when its timer fires if nothing delays it, which long waits round up. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** For how long runs have failed, ms: since the first failure after the last success. */
  get failingMs(): number {
    return this.#failingSince === undefined ? 0 : this.#context.clock.monotonic() - this.#failingSince;
  }

  /** Whether a run is under way. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /** Schedules the next run in `ms` from now, instead of the one that is scheduled. After `stop` it does nothing. */
  next(ms: number): void {
    if (this.#stopped) return;
    const { clock, timers } = this.#context;
    this.#timer?.cancel();
    this.#dueAt = timers.dueAt(clock.monotonic(), ms);
    this.#timer = timers.setTimer(ms, this.#wake);
  }

  /** Starts a run. The function that it returns ends the run, and returns whether its outcome still counts. */
  begin(): () => boolean {
    const generation = this.#generation;
    this.#busy = true;
    return () => {
      if (generation !== this.#generation) return false;
      this.#busy = false;
      return true;
    };
  }

  /** Ends the time of failures: the next one is a first one. */
  succeeded(): void {
    this.#failingSince = undefined;
  }

  /** Records that a run has failed. Returns the ms until the next try. */
  failed(reason: UnhealthyReason, intervalMs: number): number {
    const { clock, random } = this.#context;
    this.#failingSince ??= clock.monotonic();
    return retryDelay(reason, { awayMs: this.failingMs, intervalMs, random });
  }

  /** Runs at once, without the failures so far: the server has another address. */
  restart(): void {
    this.#abandon();
    this.#failingSince = undefined;
    this.next(0);
  }

  /** Runs no more. */
  stop(): void {
    this.#abandon();
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #abandon(): void {
    this.#generation += 1;
    this.#busy = false;
  }

  #start(): void {
    const wait = this.#options.dialDelayMs();
    if (wait > 0) this.next(wait);
    else this.#options.onDue();
  }
}
