import { CopilotError, getStatus, ping, type UnhealthyReason } from '../../copilot/index.ts';
import { jittered } from '../retry.ts';
import { ServerLink, type LinkContext } from '../link.ts';
import type { HealthTarget, ServerHealth } from './health.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { NO_HISTORY, assess, type History, type Outcome } from './assess.ts';

/** What the monitors of one pinger share. */
export interface MonitorContext extends LinkContext {
  readonly clock: Clock;
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
  readonly #link: ServerLink;
  #target: HealthTarget;
  #history: History = NO_HISTORY;
  #version = '';
  #heldUp = false;

  constructor(target: HealthTarget, context: MonitorContext) {
    this.#target = target;
    this.#context = context;
    this.#link = new ServerLink(target, context, {
      maxFrameBytes: MAX_FRAME_BYTES,
      onDue: () => this.#wake(),
      onLost: (error) => this.#conclude(failed(error), context.clock.monotonic()),
    });
    this.#link.schedule(0);
  }

  get health(): ServerHealth {
    return this.#history.health;
  }

  /** Takes new values over; another address or token is a new connection at once. */
  adopt(target: HealthTarget): void {
    const old = this.#target;
    this.#target = target;
    if (this.#link.moveTo(target)) {
      // What is known stays until the first check says otherwise, but old failures are not the new server's.
      this.#history = { ...NO_HISTORY, health: this.#history.health };
    } else if (target.intervalMs !== old.intervalMs) {
      if (!this.#link.isBusy) this.#link.schedule(target.intervalMs * this.#context.random());
    }
  }

  stop(): void {
    this.#link.stop();
  }

  #wake(): void {
    const { clock, random } = this.#context;
    const now = clock.monotonic();
    if (this.#link.connection !== undefined && !this.#heldUp && now - this.#link.dueAt > HELD_UP_MS) {
      // Spread over an interval again instead of a burst of all servers' pings; only once, so that an overloaded
      // process pings late rather than never.
      this.#heldUp = true;
      return this.#link.schedule(this.#target.intervalMs * random());
    }
    this.#heldUp = false;
    void this.#check(now);
  }

  async #check(started: number): Promise<void> {
    const { clock, observe } = this.#context;
    const wasKept = this.#link.connection !== undefined;
    const end = this.#link.begin();
    let outcome: Outcome;
    let ms: number;
    try {
      ms = await this.#probe(wasKept, started);
      outcome = { ok: true, version: this.#version };
    } catch (error) {
      outcome = failed(error);
      ms = clock.monotonic() - started;
    }
    if (!end()) return;
    // A server that takes connections and drops them at once must not be dialled five times a second for ever.
    if (outcome.ok && wasKept) this.#link.succeeded();
    observe(this.#target.key, outcome.ok ? 'Healthy' : outcome.reason, ms);
    this.#conclude(outcome, started);
  }

  /** One check: a connection if none was kept, then a ping. Resolves with the ping's round trip in ms. */
  async #probe(wasKept: boolean, started: number): Promise<number> {
    const { clock } = this.#context;
    const { timeoutMs } = this.#target;
    const left = () => ({ timeoutMs: Math.max(1, Math.round(timeoutMs - (clock.monotonic() - started))) });
    const connection = await this.#link.open({ timeoutMs });
    // The version can't change without a new process, and so without a new connection.
    if (!wasKept) this.#version = (await getStatus(connection, left())).version;
    const sent = clock.monotonic();
    await ping(connection, left());
    return clock.monotonic() - sent;
  }

  #conclude(outcome: Outcome, started: number): void {
    const { clock, random, tell } = this.#context;
    const { key, intervalMs } = this.#target;
    const before = this.#history.health;
    const times = { now: clock.now(), monotonic: clock.monotonic() };
    this.#history = assess(this.#history, outcome, this.#target, times);
    const pauseMs = outcome.ok ? jittered(intervalMs, random) : this.#link.failed(outcome.reason, intervalMs);
    // Intervals go from start to start, or each time-out would delay the next check.
    this.#link.schedule(Math.max(0, started + pauseMs - times.monotonic));
    // Last, because whoever is told may change or remove this very target.
    if (this.#history.health !== before) tell(key, this.#history.health);
  }
}

function failed(error: unknown): Outcome {
  const reason = error instanceof CopilotError ? error.reason : 'ProtocolError';
  return { ok: false, reason, message: error instanceof Error ? error.message : String(error) };
}
