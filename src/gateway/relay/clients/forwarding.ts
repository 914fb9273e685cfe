/** Sends calls of one client to the servers as they are, and lets it send no faster than they read. */
import type { ClientLink } from '../../model.ts';
import type { Home } from '../home/home.ts';
import { sessionIdOf, type ServerAnswer, type SessionClient } from '../model.ts';
import type { ClientRequest } from './open-requests.ts';
import type { Replies } from './replies.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

export interface ForwardingOptions {
  readonly homes: Pick<TenantHomes, 'homeOf'>;
  readonly link: Pick<ClientLink, 'pause' | 'resume'>;
}

/** Of one client. */
export class Forwarding {
  readonly #client: SessionClient;
  readonly #replies: Replies;
  readonly #options: ForwardingOptions;
  #isPaused = false;

  constructor(client: SessionClient, replies: Replies, options: ForwardingOptions) {
    this.#client = client;
    this.#replies = replies;
    this.#options = options;
  }

  /** `then` is called before the client gets the answer. */
  forward(request: ClientRequest, then?: (answer: ServerAnswer) => void): void {
    const sessionId = sessionIdOf(request.params);
    const home = this.#options.homes.homeOf(sessionId);
    home.request(request, home.session(sessionId), (answer) => {
      then?.(answer);
      this.#replies.passInOrder(home.session(sessionId), request.id, answer);
    });
    this.feelBackPressure(home);
  }

  /** To be called after something was sent to the server. */
  feelBackPressure(home: Home): void {
    if (home.upstream.isWritable || this.#isPaused || this.#client.isEnded) return;
    const { link } = this.#options;
    this.#isPaused = true;
    link.pause();
    home.whenDrained(this.#client, () => {
      this.#isPaused = false;
      if (!this.#client.isEnded) link.resume();
    });
  }
}
