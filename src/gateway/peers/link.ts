/** The connection from this replica to another one for control messages: dialled again and again until it is not needed any more. */
import { Backoff } from '../../kube/clock/backoff.ts';
import { Watchdog } from '../../kube/clock/watchdog.ts';
import type { Clock, Random } from '../../kube/clock/clock.ts';
import { toError } from '../../kube/types/errors.ts';
import { ControlStream } from './control-stream.ts';
import { dial, type DialOptions } from './dial.ts';
import type { MemberInfo, Message } from './messages.ts';

export interface LinkOptions extends DialOptions {
  readonly member: MemberInfo;
  readonly clock: Clock;
  readonly random: Random;
  /** There is a connection. */
  readonly up: () => void;
  readonly message: (message: Message) => void;
  /** There is none; called once for each failure. */
  readonly down: (why: string) => void;
  /** The peer was not heard for too long, and `down` follows: what else is connected to it is half open, too, and TCP may not tell for minutes. */
  readonly quiet: () => void;
}

/** A peer that is there again should be reached within a heartbeat. */
const BACKOFF = { baseMs: 100, maxMs: 2_000 };

/** For so long, ms, nothing of a peer is heard of which each heartbeat is answered: after five of them it may not be there. */
const QUIET_MS = 10_000;
/** In which this process, if it was the one that was paused, reads what has come meanwhile, ms. */
const GRACE_MS = 1_000;

/** One direction of two: what is asked goes out here, what is answered comes back here. */
export class Link {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  readonly #closed = new AbortController();
  #stream: ControlStream | undefined;
  #watchdog: Watchdog | undefined;
  /** Whether nothing was heard for so long that what has come must have been read by now. */
  #isLate = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
    void this.#connect();
  }

  /** Sends it if there is a connection. What is lost is sent again when there is one. */
  send(message: Message): void {
    this.#stream?.send(message);
  }

  /** Ends it after what was sent. */
  close(): void {
    this.#closed.abort();
    this.#stream?.end();
    this.#forgetStream();
  }

  async #connect(): Promise<void> {
    const { member, up, down, message } = this.#options;
    try {
      const socket = await dial(member, 'control', this.#options);
      if (this.#closed.signal.aborted) return void socket.destroy();
      const hear = (heard: Message): void => {
        this.#isLate = false;
        this.#watchdog?.limit(QUIET_MS);
        message(heard);
      };
      const stream = new ControlStream(socket, { message: hear, ended: (why) => this.#retry(why) });
      this.#stream = stream;
      this.#watchdog = new Watchdog(this.#options.clock, QUIET_MS, () => this.#onSilence(stream));
      this.#backoff.reset();
      up();
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      down(toError(error).message);
      this.#retryLater();
    }
  }

  /** Ends a stream on which nothing is heard. */
  #onSilence(stream: ControlStream): void {
    if (!this.#isLate) {
      this.#isLate = true;
      return this.#watchdog?.limit(GRACE_MS);
    }
    stream.destroy();
    this.#options.quiet();
    this.#retry(`nothing was heard of it for ${(QUIET_MS + GRACE_MS) / 1000} s`);
  }

  #forgetStream(): void {
    this.#stream = undefined;
    this.#isLate = false;
    this.#watchdog?.[Symbol.dispose]();
    this.#watchdog = undefined;
  }

  #retry(why: string): void {
    this.#forgetStream();
    this.#options.down(why);
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#closed.signal.aborted) return;
    this.#options.clock.setTimer(this.#backoff.next(), () => {
      if (!this.#closed.signal.aborted) void this.#connect();
    });
  }
}
