/** A client until it is admitted: it has little time and few bytes, is answered as by a server that it has no token for, and waits while its token is looked at. */
import { setDeadline, type Timers } from '../../copilot/index.ts';
import type { CloseReason, Identity } from '../model.ts';
import type { Authentication } from './authentication.ts';
import { readGreeting, type ConnectRequest } from './handshake.ts';
import { CloseCause, type ClientLimits } from './model.ts';
import type { ClientSocket } from './socket.ts';
import type { ClientEvent } from './state.ts';

/** What is needed to greet a client. */
export interface GreetingOptions {
  readonly timers: Timers;
  readonly clock: { now(): number };
  readonly limits: Pick<ClientLimits, 'greetingMs' | 'greetingBytes'>;
  readonly authentication: Pick<Authentication, 'present'>;
  readonly socket: Pick<ClientSocket, 'setReading'>;
  readonly send: (body: string) => void;
  readonly close: (reason: CloseReason) => void;
  readonly become: (event: ClientEvent) => void;
  /** Its token is good. */
  readonly admit: (request: ConnectRequest, identity: Identity) => void;
  /** Takes a frame that has waited, by whatever the client is then. */
  readonly onBody: (body: Buffer) => void;
}

/** Of one connection. */
export class Greeting {
  readonly #options: GreetingOptions;
  readonly #deadline: { cancel(): void };
  #receivedBytes = 0;
  /** Frames that came while a token was looked at; undefined: none is. */
  #held: Buffer[] | undefined;

  constructor(options: GreetingOptions) {
    const { timers, limits, close } = options;
    this.#options = options;
    this.#deadline = setDeadline(timers, limits.greetingMs, () =>
      close({ reason: CloseCause.GreetingTimeout, message: `not admitted within ${limits.greetingMs} ms` }),
    );
  }

  frame(body: Buffer): void {
    if (this.#held !== undefined) {
      this.#held.push(Buffer.from(body));
      return;
    }
    const { clock, send } = this.#options;
    const greeting = readGreeting(body, clock.now());
    if (greeting.kind === 'Answer') send(greeting.body);
    else if (greeting.kind === 'Connect') this.#present(greeting.request);
  }

  /** Bytes were read, and have not led to its admission. */
  received(bytes: number): void {
    const { limits, close } = this.#options;
    this.#receivedBytes += bytes;
    if (this.#receivedBytes > limits.greetingBytes) {
      close({ reason: CloseCause.GreetingTooLarge, message: `more than ${limits.greetingBytes} bytes` });
    }
  }

  /** It is admitted, or gone. */
  end(): void {
    this.#deadline.cancel();
    this.#held = undefined;
  }

  #present(request: ConnectRequest): void {
    const { authentication, socket, become, admit, onBody } = this.#options;
    this.#held = [];
    become('presented');
    authentication.present(request, (identity) => {
      const held = this.#held ?? [];
      this.#held = undefined;
      if (identity === undefined) become('denied');
      else admit(request, identity);
      // It goes the way that it would have gone, in its order, and may present another token.
      for (const body of held) onBody(body);
      if (this.#held === undefined) socket.setReading({ admission: true });
    });
    // Only what waits for a decision: a client that is admitted at once is not stopped.
    if (this.#held !== undefined) socket.setReading({ admission: false });
  }
}
