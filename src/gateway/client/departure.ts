/** How a client is let go whose connection is to end: as soon as nothing of it is under way. */
import type { Timers } from '../../copilot/index.ts';
import type { CloseReason } from '../model.ts';
import type { ClientLimits } from './model.ts';

/** What is needed to let a client go. */
export interface DepartureOptions {
  readonly timers: Timers;
  readonly clock: { monotonic(): number };
  readonly limits: Pick<ClientLimits, 'partingMs' | 'dismissMs'>;
  /** Whether something of the client is under way. */
  readonly isBusy: () => boolean;
  /** Whether it has more to read than is waited for. */
  readonly isBehind: () => boolean;
  /** It is not read any more, so that it cannot begin anything. */
  readonly stopReading: () => void;
  /** The relay is told that the tenant is gone. */
  readonly dismissed: () => void;
  readonly close: (reason: CloseReason) => void;
}

/** How often a client is looked at whose tenant is gone, ms. */
const DISMISS_LOOK_MS = 25;

/** Of one client, which may have to go for both reasons. */
export class Departure {
  readonly #options: DepartureOptions;
  /** Why it is to be closed when nothing of it is under way. */
  #leaving: CloseReason | undefined;
  /** From that moment until it is closed. */
  #parting: { cancel(): void } | undefined;
  /** Until it is looked at again, because its tenant is gone. */
  #look: { cancel(): void } | undefined;
  #isDismissed = false;
  #isStopped = false;

  constructor(options: DepartureOptions) {
    this.#options = options;
  }

  /** Closes it as soon as nothing of it is under way, before it can begin another turn. */
  leave(reason: CloseReason): void {
    this.#leaving ??= reason;
    this.#partIfIdle();
  }

  /** Something was sent to it: that may have been the end of its turn, which the relay is about to take in. */
  sent(): void {
    if (this.#leaving !== undefined) queueMicrotask(() => this.#partIfIdle());
  }

  /** Its tenant is gone. It ends when what it waits for is answered, also what is read only now because it had to be paused. */
  dismiss(reason: CloseReason): void {
    if (this.#isDismissed) return;
    this.#isDismissed = true;
    const { clock, limits, dismissed } = this.#options;
    dismissed();
    this.#lookSoon(reason, clock.monotonic() + limits.dismissMs);
  }

  /** The connection has ended. */
  stop(): void {
    this.#isStopped = true;
    this.#parting?.cancel();
    this.#look?.cancel();
  }

  /** SDKs forget what they have not looked at when their connection ends, and that may be the end of the turn: so this takes a moment. */
  #partIfIdle(): void {
    const { timers, limits, isBusy, isBehind, stopReading, close } = this.#options;
    const reason = this.#leaving;
    if (reason === undefined || this.#parting !== undefined || this.#isStopped || isBusy() || isBehind()) return;
    stopReading();
    this.#parting = timers.setTimer(limits.partingMs, () => close(reason));
  }

  #lookSoon(reason: CloseReason, endsAt: number): void {
    const { timers, clock, isBusy, close } = this.#options;
    if (this.#isStopped) return;
    this.#look = timers.setTimer(DISMISS_LOOK_MS, () => {
      if (isBusy() && clock.monotonic() < endsAt) this.#lookSoon(reason, endsAt);
      else close(reason);
    });
  }
}
