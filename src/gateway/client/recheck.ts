/** Whether an admitted client may stay: its credential expires, and it may be revoked. */
import type { Timers } from '../../copilot/index.ts';
import type { Decision, DenyReason, Grant } from '../admission/admission.ts';
import type { CloseReason } from '../model.ts';
import { CloseCause, type ClientLimits } from './model.ts';

/** What is needed to watch a grant. */
export interface RecheckOptions {
  readonly grant: Grant;
  readonly timers: Timers;
  readonly clock: { now(): number; monotonic(): number };
  readonly limits: Pick<ClientLimits, 'recheckMs' | 'unverifiedMs'>;
  readonly close: (reason: CloseReason) => void;
  /** The same for a client whose tenant is gone. */
  readonly dismiss: (reason: CloseReason) => void;
}

/** While a credential cannot be reviewed. */
const RETRY_MS = 5_000;

/** Decides again: when the credential expires, at intervals if it is one that is reviewed, and when it is told to. */
export class Recheck {
  readonly #options: RecheckOptions;
  /** Monotonic ms of the last time that the client was found to be who it is. */
  #verifiedAt: number;
  #timer: { cancel(): void } | undefined;
  #isStopped = false;

  constructor(options: RecheckOptions) {
    this.#options = options;
    this.#verifiedAt = options.clock.monotonic();
    this.#schedule(options.limits.recheckMs);
  }

  now(): void {
    this.#timer?.cancel();
    const decision = this.#options.grant.recheck();
    if (decision instanceof Promise) void decision.then((later) => this.#take(later));
    else this.#take(decision);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** A binding credential changes with its tenant only, which calls `now`. */
  #schedule(waitMs: number): void {
    const { grant, timers, clock } = this.#options;
    const { credential, expiresAt } = grant.identity;
    if (credential === 'Binding') return;
    const leftMs = expiresAt === undefined ? Infinity : Math.max(0, expiresAt - clock.now());
    this.#timer = timers.setTimer(Math.min(waitMs, leftMs), () => this.now());
  }

  #take(decision: Decision): void {
    if (this.#isStopped) return;
    this.#timer?.cancel();
    const { clock, limits, close, dismiss } = this.#options;
    if (!('denied' in decision)) {
      this.#verifiedAt = clock.monotonic();
      this.#schedule(limits.recheckMs);
    } else if (decision.denied !== 'Unavailable') {
      const end = decision.denied === 'UnknownTenant' ? dismiss : close;
      end({
        reason: this.#isExpired() ? CloseCause.CredentialExpired : causeOf(decision.denied),
        message: decision.message,
      });
    } else if (this.#isExpired() || clock.monotonic() - this.#verifiedAt > limits.unverifiedMs + RETRY_MS) {
      close({ reason: CloseCause.Unverified, message: decision.message });
    } else {
      this.#schedule(RETRY_MS);
    }
  }

  #isExpired(): boolean {
    const { grant, clock } = this.#options;
    const { expiresAt } = grant.identity;
    return expiresAt !== undefined && expiresAt <= clock.now();
  }
}

function causeOf(denied: DenyReason): string {
  return denied === 'Kicked' ? CloseCause.Kicked : CloseCause.CredentialRevoked;
}
