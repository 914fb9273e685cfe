/** What an admitted client sends, counted among what its user and its tenant may: a frame that is too much is refused, if it can be. */
import type { Identity } from '../model.ts';
import { tooFast, whenTooFast } from './handshake.ts';
import type { ClientObserver } from './model.ts';
import type { Rates } from './rates.ts';

/** What is needed to count it. */
export interface ThrottleOptions {
  readonly identity: Identity;
  /** Of all clients. */
  readonly rates: Pick<Rates, 'received' | 'overdrawn'>;
  readonly observer: Pick<ClientObserver, 'oversize' | 'rateExceeded'>;
  readonly send: (body: string) => void;
}

/** Of one client. */
export class Throttle {
  readonly #options: ThrottleOptions;

  constructor(options: ThrottleOptions) {
    this.#options = options;
  }

  /** Whether a frame is refused because too much has come. Its client is told so. */
  refuses(body: Buffer): boolean {
    const { identity, rates, observer, send } = this.#options;
    const excess = rates.received(identity, body.length);
    if (excess === undefined) return false;
    const found = whenTooFast(body);
    if (typeof found === 'object') {
      observer.rateExceeded(excess.reason);
      send(tooFast(found.refused, excess));
      return true;
    }
    rates.overdrawn(identity, body.length, found === 'Ignored' ? 'User' : 'All');
    return false;
  }

  /** A frame of so many bytes is skipped because it is too large. */
  oversize(length: number): void {
    const { identity, rates, observer } = this.#options;
    observer.oversize();
    rates.overdrawn(identity, length);
  }
}
