import {
  Connection,
  CopilotError,
  getStatus,
  jittered,
  ping,
  retryDelay,
  type Dial,
  type DialPacer,
  type HealthTarget,
  type ServerHealth,
  type UnhealthyReason,
} from '../copilot/index.ts';
import type { Clock, Random, Timer } from '../kube/clock.ts';
import type { TimerQueue } from '../kube/timer-queue.ts';
import { NO_HISTORY, assess, type History, type Outcome } from './assess.ts';

/** What the monitors of one pinger share. */
export interface MonitorContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: TimerQueue;
  readonly pacer: DialPacer;
  readonly dial: Dial | undefined;
  /** Given each change of health. */
  readonly tell: (key: string, health: ServerHealth) => void;
  readonly observe: CheckObserver;
}

/** Given the end of each check. `ms`: the ping's round trip for a healthy one, the whole check's time for another. */
export type CheckObserver = (key: string, result: 'Healthy' | UnhealthyReason, ms: number) => void;

/** An answer to a ping has 200 bytes; the server also tells every connection of sessions that come and go. */
const MAX_FRAME_BYTES = 256 * 1024;
/** A ping that is this late was held up by a pause of the whole process, together with all the others. */
const HELD_UP_MS = 1000;

/** Watches one server over one long-lived connection. There is always either a check going on or one timer. */
export class Monitor {
  readonly #context: MonitorContext;
  #target: HealthTarget;
  #history: History = NO_HISTORY;
  #connection: Connection | undefined;
  #version = '';
  /** Monotonic ms of the first failure since the server last kept a connection for a whole interval. */
  #failingSince: number | undefined;
  #timer: Timer | undefined;
  /** When the next ping is due, monotonic ms. */
  #dueAt = 0;
  #heldUp = false;
  #dialReserved = false;
  #checking = false;
  /** Raised when the target changes or is removed: the outcome of a check that began before means nothing. */
  #generation = 0;

  constructor(target: HealthTarget, context: MonitorContext) {
    this.#target = target;
    this.#context = context;
    this.#schedule(0);
  }

  get health(): ServerHealth {
    return this.#history.health;
  }

  /** Takes new values over; another address or token is a new connection at once. */
  adopt(target: HealthTarget): void {
    const old = this.#target;
    this.#target = target;
    if (target.host !== old.host || target.port !== old.port || target.token !== old.token) {
      this.#interrupt();
      // What is known stays until the first check says otherwise, but old failures are not the new server's.
      this.#history = { ...NO_HISTORY, health: this.#history.health };
      this.#failingSince = undefined;
      this.#schedule(0);
    } else if (target.intervalMs !== old.intervalMs) {
      if (!this.#checking) this.#schedule(target.intervalMs * this.#context.random());
    }
  }

  stop(): void {
    this.#interrupt();
    this.#timer?.cancel();
  }

  #interrupt(): void {
    this.#generation += 1;
    this.#checking = false;
    this.#connection?.close();
    this.#connection = undefined;
  }

  #schedule(ms: number): void {
    const { clock, timers } = this.#context;
    this.#timer?.cancel();
    this.#dueAt = clock.monotonic() + ms;
    this.#timer = timers.setTimer(ms, () => this.#wake());
  }

  #wake(): void {
    const { clock, pacer, random } = this.#context;
    const now = clock.monotonic();
    if (this.#connection === undefined && !this.#dialReserved) {
      const wait = pacer.reserve(now);
      this.#dialReserved = wait > 0;
      if (wait > 0) return this.#schedule(wait);
    } else if (this.#connection !== undefined && !this.#heldUp && now - this.#dueAt > HELD_UP_MS) {
      // Spread over an interval again instead of a burst of all servers' pings; only once, so that an overloaded
      // process pings late rather than never.
      this.#heldUp = true;
      return this.#schedule(this.#target.intervalMs * random());
    }
    this.#heldUp = false;
    this.#dialReserved = false;
    void this.#check(now);
  }

  async #check(started: number): Promise<void> {
    const { clock, observe } = this.#context;
    const generation = this.#generation;
    const kept = this.#connection;
    this.#checking = true;
    let outcome: Outcome;
    let ms: number;
    try {
      ms = await this.#probe(kept, started);
      outcome = { ok: true, version: this.#version };
    } catch (error) {
      outcome = failed(error);
      ms = clock.monotonic() - started;
    }
    if (generation !== this.#generation) return;
    this.#checking = false;
    // A server that takes connections and drops them at once must not be dialled five times a second for ever.
    if (outcome.ok && kept !== undefined) this.#failingSince = undefined;
    observe(this.#target.key, outcome.ok ? 'Healthy' : outcome.reason, ms);
    this.#conclude(outcome, started);
  }

  /** One check: a connection if none was kept, then a ping. Resolves with the ping's round trip in ms. */
  async #probe(kept: Connection | undefined, started: number): Promise<number> {
    const { clock } = this.#context;
    const { timeoutMs } = this.#target;
    const left = () => ({ timeoutMs: Math.max(1, Math.round(timeoutMs - (clock.monotonic() - started))) });
    const connection = kept ?? this.#newConnection();
    if (kept === undefined) {
      this.#connection = connection;
      await connection.open({ timeoutMs });
      // The version can't change without a new process, and so without a new connection.
      this.#version = (await getStatus(connection, left())).version;
    }
    const sent = clock.monotonic();
    await ping(connection, left());
    return clock.monotonic() - sent;
  }

  #newConnection(): Connection {
    const { clock, timers, dial } = this.#context;
    const { host, port, token } = this.#target;
    const connection: Connection = new Connection({
      host,
      port,
      token,
      timers,
      maxFrameBytes: MAX_FRAME_BYTES,
      ...(dial === undefined ? {} : { dial }),
      onLost: (error) => {
        // During a check the error reaches it through the ping; between two this is the first to know.
        if (connection === this.#connection && !this.#checking) this.#conclude(failed(error), clock.monotonic());
      },
    });
    return connection;
  }

  #conclude(outcome: Outcome, started: number): void {
    const { clock, random, tell } = this.#context;
    const { key, intervalMs } = this.#target;
    const before = this.#history.health;
    const times = { now: clock.now(), monotonic: clock.monotonic() };
    this.#history = assess(this.#history, outcome, this.#target, times);
    let pauseMs = jittered(intervalMs, random);
    if (!outcome.ok) {
      // Also after a time-out: whatever is wrong, a fresh connection proves more than a doubtful one.
      this.#connection?.close();
      this.#connection = undefined;
      this.#failingSince ??= times.monotonic;
      const awayMs = times.monotonic - this.#failingSince;
      pauseMs = retryDelay(outcome.reason, { awayMs, intervalMs, random });
    }
    // Intervals go from start to start, or each time-out would delay the next check.
    this.#schedule(Math.max(0, started + pauseMs - times.monotonic));
    // Last, because whoever is told may change or remove this very target.
    if (this.#history.health !== before) tell(key, this.#history.health);
  }
}

function failed(error: unknown): Outcome {
  const reason = error instanceof CopilotError ? error.reason : 'ProtocolError';
  return { ok: false, reason, message: error instanceof Error ? error.message : String(error) };
}
