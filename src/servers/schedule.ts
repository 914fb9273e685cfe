/** When a user of a server's connection has its next turn. */
import type { Timers, UnhealthyReason } from '../copilot/index.ts';
import { retryDelay } from './retry.ts';

/** What schedules are made with. */
export interface ScheduleContext {
  readonly clock: { monotonic(): number };
  readonly random: () => number;
  readonly timers: Timers;
}

/** The user whose turns these are. */
export interface ScheduleOptions {
  /** Ms until a turn may begin whose time has come, because the connection must be dialled first; 0: at once. */
  readonly dialDelayMs: () => number;
  /** The time has come for a turn. */
  readonly onDue: () => void;
}

/** The timer of a user that works in turns (a check, a poll), one at a time, and for how long it has failed. */
export class Schedule {
  readonly #context: ScheduleContext;
  readonly #options: ScheduleOptions;
  #timer: ReturnType<Timers['setTimer']> | undefined;
  #dueAt = 0;
  #busy = false;
  #stopped = false;
  /** Monotonic ms of the first failure since the last success. */
  #failingSince: number | undefined;
  /** Raised when the server moves or is removed: the outcome of a turn that began before means nothing. */
  #generation = 0;

  constructor(context: ScheduleContext, options: ScheduleOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** When the next turn is due, monotonic ms. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** For how long it has failed, ms: since the first failure after the last success. */
  get failingMs(): number {
    return this.#failingSince === undefined ? 0 : this.#context.clock.monotonic() - this.#failingSince;
  }

  /** Whether a turn is under way. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /** Has the next turn come in `ms`, and no other. After `stop` it does nothing. */
  next(ms: number): void {
    if (this.#stopped) return;
    const { clock, timers } = this.#context;
    this.#timer?.cancel();
    this.#dueAt = clock.monotonic() + ms;
    this.#timer = timers.setTimer(ms, () => this.#wake());
  }

  /** Begins a turn. What it returns ends the turn, and says whether its outcome still means anything. */
  begin(): () => boolean {
    const generation = this.#generation;
    this.#busy = true;
    return () => {
      if (generation !== this.#generation) return false;
      this.#busy = false;
      return true;
    };
  }

  /** The server works: the next failure is a first one. */
  succeeded(): void {
    this.#failingSince = undefined;
  }

  /** A turn has failed. Returns the ms until the next try. */
  failed(reason: UnhealthyReason, intervalMs: number): number {
    const { clock, random } = this.#context;
    this.#failingSince ??= clock.monotonic();
    return retryDelay(reason, { awayMs: this.failingMs, intervalMs, random });
  }

  /** The server has another address: a turn at once, and old failures are not the new server's. */
  restart(): void {
    this.#abandon();
    this.#failingSince = undefined;
    this.next(0);
  }

  /** No further turn comes. */
  stop(): void {
    this.#abandon();
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #abandon(): void {
    this.#generation += 1;
    this.#busy = false;
  }

  #wake(): void {
    const wait = this.#options.dialDelayMs();
    if (wait > 0) this.next(wait);
    else this.#options.onDue();
  }
}
