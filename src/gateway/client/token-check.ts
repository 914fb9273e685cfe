/** The tokens that one connection presents, one at a time: decided about, and refused late. */
import type { Timers } from '../../copilot/index.ts';
import type { Admission, Decision, Denial } from '../admission/admission.ts';
import { authenticationFailed, cannotDecide, type ConnectRequest } from './handshake.ts';
import type { ClientLimits } from './model.ts';

/** What is needed to check tokens. */
export interface TokenCheckOptions {
  readonly admission: Admission;
  readonly clock: { monotonic(): number };
  readonly timers: Timers;
  readonly limits: Pick<ClientLimits, 'attempts' | 'refusalMs'>;
  readonly send: (body: string) => void;
  /** Called as soon as a token is denied. */
  readonly denied: (denial: Denial) => void;
  /** The connection has had all of its attempts. */
  readonly tooMany: (message: string) => void;
}

/**
 * Refusals are answered a fixed time after the token came, so that an unknown tenant takes as long as a foreign one, and guessing takes
 * long. A good token is not held up.
 */
export class TokenCheck {
  readonly #options: TokenCheckOptions;
  #denials = 0;
  #timer: { cancel(): void } | undefined;
  #isStopped = false;

  constructor(options: TokenCheckOptions) {
    this.#options = options;
  }

  /** Decides, answers if it is a refusal, and then calls `decided`; not if it was stopped meanwhile. */
  check(request: ConnectRequest, decided: (decision: Decision) => void): void {
    const { admission, clock } = this.#options;
    const presentedAt = clock.monotonic();
    const take = (decision: Decision): void => {
      if (this.#isStopped) return;
      if ('denied' in decision) this.#refuse(request, decision, presentedAt, () => decided(decision));
      else {
        this.#denials = 0;
        decided(decision);
      }
    };
    const decision = admission.decide(request.token);
    if (decision instanceof Promise) void decision.then(take);
    else take(decision);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #refuse(request: ConnectRequest, denial: Denial, presentedAt: number, decided: () => void): void {
    const { limits, timers, clock, send, denied, tooMany } = this.#options;
    this.#denials += 1;
    denied(denial);
    const waitMs = Math.max(0, presentedAt + limits.refusalMs - clock.monotonic());
    this.#timer = timers.setTimer(waitMs, () => {
      send(
        denial.denied === 'Unavailable'
          ? cannotDecide(request, CANNOT_CHECK, RETRY_AFTER_MS)
          : authenticationFailed(request),
      );
      if (this.#denials < limits.attempts) decided();
      else tooMany(`${this.#denials} tokens of the connection were refused`);
    });
  }
}

const CANNOT_CHECK = 'the gateway cannot check the token now';
const RETRY_AFTER_MS = 5_000;
