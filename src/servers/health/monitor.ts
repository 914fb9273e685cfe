/** The checks of one server's health. */
import { CopilotError, RpcError, getStatus, messageOf, ping, type UnhealthyReason } from '../../copilot/index.ts';
import type { ConnectionEnd, ConnectionShare, SharedClient } from '../connection-share.ts';
import type { RegistryContext } from '../registry.ts';
import { jittered } from '../retry.ts';
import { Schedule } from '../schedule.ts';
import type { Server, ServerHealth, ServerUpdate } from '../server.ts';
import { NO_HISTORY, assess, type History, type Outcome } from './assess.ts';
import { WriteCheck } from './write-check.ts';

/** What the monitors of one pinger share. */
export interface MonitorContext extends RegistryContext {
  /** Called with each change of health. */
  readonly onTransition: (key: string, health: ServerHealth) => void;
  readonly observe: CheckObserver;
}

/** Called at the end of each check. `ms`: the ping's round trip for a healthy server, the whole check's time for another. */
export type CheckObserver = (key: string, result: 'Healthy' | UnhealthyReason, ms: number) => void;

/** A ping that is this late was held up by a pause of the whole process, together with all the others. */
const HELD_UP_MS = 1000;

/**
 * Checks one server over the shared connection. There is always either a check under way or one timer.
 *
 * A ping may wait behind a survey's answer. The largest that is accepted, 16 MiB (a listing of 120,000 sessions), makes it
 * 0.3 to 0.5 s late on loopback and 0.15 s later over 1 Gbit/s, which the default time-out of 5 s is far from. With the
 * shortest, 1 s, over less than some 200 Mbit/s one ping may be missed, but not `failureThreshold` in a row: polls are rarer.
 */
export class Monitor {
  readonly #context: MonitorContext;
  readonly #server: Server;
  readonly #share: ConnectionShare;
  readonly #schedule: Schedule;
  readonly #writeCheck: WriteCheck;
  #history: History = NO_HISTORY;
  /** The connection over which the last check succeeded. */
  #proven: SharedClient | undefined;
  #heldUp = false;
  /** The last check failed with a connection whose end shows little about the server, and did not count. */
  #inconclusive = false;
  #stopped = false;

  constructor(server: Server, context: MonitorContext) {
    this.#server = server;
    this.#context = context;
    this.#share = server.connection.join({ onEnd: (end) => this.#onEnd(end) });
    this.#writeCheck = new WriteCheck(context.clock);
    this.#schedule = new Schedule(context, {
      dialDelayMs: () => this.#share.dialDelayMs,
      onDue: () => this.#onDue(),
    });
    this.#schedule.next(0);
  }

  /** Takes over the server's changes. With another address or token it is checked at once. */
  update({ before, moved }: ServerUpdate): void {
    const { intervalMs } = this.#server.target.health;
    if (moved) {
      // The health stays until the first check, but earlier failures were not the new server's.
      this.#history = { ...NO_HISTORY, health: this.#history.health };
      this.#inconclusive = false;
      this.#schedule.restart();
    } else if (intervalMs !== before.health.intervalMs && !this.#schedule.isBusy) {
      this.#schedule.next(intervalMs * this.#context.random());
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#schedule.stop();
  }

  #onDue(): void {
    const { clock, random } = this.#context;
    const now = clock.monotonic();
    if (this.#share.opened !== undefined && !this.#heldUp && now - this.#schedule.dueAt > HELD_UP_MS) {
      // Spread over an interval again instead of a burst of all servers' pings; only once, so that an overloaded
      // process pings late rather than never.
      this.#heldUp = true;
      return this.#schedule.next(this.#server.target.health.intervalMs * random());
    }
    this.#heldUp = false;
    void this.#check(now);
  }

  async #check(started: number): Promise<void> {
    const end = this.#schedule.begin();
    const proven = this.#proven;
    const { client, outcome, ms } = await this.#probe(started);
    if (!end()) return;
    if (outcome.ok) {
      // A server that accepts connections and closes them at once must not be dialled five times a second for ever.
      if (client === proven) this.#schedule.succeeded();
      this.#proven = client;
      this.#server.version = outcome.version;
    } else if (client?.end?.isDoubtful === true && !this.#inconclusive) {
      return this.#checkAgain();
    }
    this.#context.observe(this.#server.key, outcome.ok ? 'Healthy' : outcome.reason, ms);
    this.#conclude(outcome, started, client);
  }

  /**
   * One check: the connection, its version if it is a new one, a ping, and now and then whether it can write. An error answer
   * is an answer: the server is alive, whichever of the methods its version lacks. An answer that is not the protocol's does
   * not count.
   */
  async #probe(started: number): Promise<Probe> {
    const { clock } = this.#context;
    const { timeoutMs } = this.#server.target.health;
    const left = () => ({ timeoutMs: Math.max(1, Math.round(timeoutMs - (clock.monotonic() - started))) });
    let client: SharedClient | undefined;
    try {
      // Usually it is open, and then there is nothing to wait for.
      client = this.#share.opened ?? (await this.#share.open({ timeoutMs }));
      // The version can't change without a new process, and so without a new connection.
      const isKnown = client === this.#proven && this.#server.version !== undefined;
      const status =
        isKnown || client.lacks('status.get') ? undefined : await unlessRpcError(getStatus(client, left()));
      const sent = clock.monotonic();
      await unlessRpcError(ping(client, left()));
      const ms = clock.monotonic() - sent;
      const check = this.#writeCheck;
      const writeError = check.isDue(client) ? await check.run(client, left()) : check.error;
      const { lackingMethods: lacks } = this.#server.connection;
      const version = status?.version ?? this.#server.version;
      return { client, outcome: { ok: true, version, lacks, writeError, ms }, ms };
    } catch (error) {
      return { client, outcome: failed(error), ms: clock.monotonic() - started };
    }
  }

  #onEnd({ error, isDoubtful }: ConnectionEnd): void {
    // A check under way fails on its own.
    if (this.#schedule.isBusy) return;
    if (isDoubtful) this.#checkAgain();
    else this.#conclude(failed(error), this.#context.clock.monotonic());
  }

  /** Checks soon over a new connection, and that check counts however it ends. */
  #checkAgain(): void {
    this.#inconclusive = true;
    this.#schedule.next(this.#schedule.failed('Unreachable', this.#server.target.health.intervalMs));
  }

  #conclude(outcome: Outcome, started: number, client?: SharedClient): void {
    const { clock, random, onTransition } = this.#context;
    const { key, health: settings } = this.#server.target;
    const before = this.#history.health;
    const times = { now: clock.now(), monotonic: clock.monotonic() };
    this.#inconclusive = false;
    this.#history = assess(this.#history, outcome, settings, times);
    this.#server.health = this.#history.health;
    const { intervalMs } = settings;
    const pauseMs = outcome.ok ? jittered(intervalMs, random) : this.#schedule.failed(outcome.reason, intervalMs);
    // Intervals go from start to start, or each time-out would delay the next check.
    this.#schedule.next(Math.max(0, started + pauseMs - times.monotonic));
    if (!outcome.ok && client !== undefined) this.#share.drop(client, outcome.message);
    // Last, because a listener, also of the connection's other users, may change or remove this very server.
    if (this.#history.health !== before && !this.#stopped) onTransition(key, this.#history.health);
  }
}

/** How a check went. */
interface Probe {
  readonly client: SharedClient | undefined;
  readonly outcome: Outcome;
  readonly ms: number;
}

/** The answer; undefined if the server answered with an error. */
async function unlessRpcError<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof RpcError) return undefined;
    throw error;
  }
}

function failed(error: unknown): Outcome {
  const reason = error instanceof CopilotError ? error.reason : 'ProtocolError';
  return { ok: false, reason, message: messageOf(error) };
}
