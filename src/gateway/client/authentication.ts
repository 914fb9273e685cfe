/** Who the client of one connection is: by the token that it is admitted with, as long as that holds, and by fresh ones that it presents later. */
import type { Grant } from '../admission/admission.ts';
import type { Identity } from '../model.ts';
import { authenticationFailed, cannotDecide, connected, type ConnectRequest } from './handshake.ts';
import { Recheck, type RecheckOptions } from './recheck.ts';
import { TokenCheck, type TokenCheckOptions } from './token-check.ts';

/** What is needed for it. */
export type AuthenticationOptions = TokenCheckOptions & Omit<RecheckOptions, 'grant'>;

/** Of one connection. */
export class Authentication {
  readonly #options: AuthenticationOptions;
  readonly #tokens: TokenCheck;
  #grant: Grant | undefined;
  /** From admission until the end. */
  #recheck: Recheck | undefined;
  /** Whether a fresh token is being decided about. */
  #isRenewing = false;
  #isStopped = false;

  constructor(options: AuthenticationOptions) {
    this.#options = options;
    this.#tokens = new TokenCheck(options);
  }

  /** Undefined: no token of it was granted yet. */
  get identity(): Identity | undefined {
    return this.#grant?.identity;
  }

  /** Decides about the token of a client that is not admitted. `decided` gets its identity; undefined: that was refused, which it is told. */
  present(request: ConnectRequest, decided: (identity: Identity | undefined) => void): void {
    this.#tokens.check(request, (decision) => {
      if ('denied' in decision) return decided(undefined);
      this.#grant = decision;
      decided(decision.identity);
    });
  }

  /** Another `connect` of an admitted client: a fresh token for the same identity. It loses nothing by a wrong one. */
  renew(request: ConnectRequest): void {
    const { send, limits } = this.#options;
    if (this.#isRenewing) {
      return send(cannotDecide(request, 'another connect of this client is not answered yet', limits.refusalMs));
    }
    this.#isRenewing = true;
    this.#tokens.check(request, (decision) => {
      this.#isRenewing = false;
      if ('denied' in decision) return;
      if (!isSame(decision.identity, this.identity)) return send(authenticationFailed(request));
      this.#grant = decision;
      this.watch();
      send(connected(request));
    });
  }

  /** It is admitted: what it was granted is looked at again from now on. */
  watch(): void {
    this.#recheck?.stop();
    if (this.#grant === undefined || this.#isStopped) return;
    const { timers, clock, limits, close, dismiss } = this.#options;
    this.#recheck = new Recheck({ grant: this.#grant, timers, clock, limits, close, dismiss });
  }

  /** Decides again whether it may stay: what its credential depends on has changed. */
  recheck(): void {
    this.#recheck?.now();
  }

  /** The connection has ended. */
  stop(): void {
    this.#isStopped = true;
    this.#recheck?.stop();
    this.#tokens.stop();
  }
}

function isSame(a: Identity, b: Identity | undefined): boolean {
  return a.tenant.namespace === b?.tenant.namespace && a.tenant.name === b.tenant.name && a.user === b.user;
}
