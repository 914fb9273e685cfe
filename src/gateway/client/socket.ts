/** The socket of a client: whether it is read, which several may hold up, and how it is closed. */
import type { Duplex } from 'node:stream';
import type { Timers } from '../../copilot/index.ts';

/** More than this is not waited for when a connection ends: the client has not been reading. */
export const LINGER_BYTES = 64 * 1024;

/** Who may hold up that a client is read, and whether each lets it be. */
interface Readers {
  relay: boolean;
  admission: boolean;
  parting: boolean;
}

/** What is still to be written to it. */
interface Unwritten {
  readonly queuedBytes: number;
  flush(): void;
}

/** Of one connection. */
export class ClientSocket {
  readonly #stream: Duplex;
  readonly #timers: Timers;
  readonly #lingerMs: number;
  /** Who wants to read on. */
  readonly #isWanted: Readers = { relay: true, admission: true, parting: true };
  #isClosed = false;
  /** From `close` until it is destroyed. */
  #linger: { cancel(): void } | undefined;

  /** `lingerMs`: for how long a client that is closed may take over what is still queued for it. */
  constructor(stream: Duplex, timers: Timers, lingerMs: number) {
    this.#stream = stream;
    this.#timers = timers;
    this.#lingerMs = lingerMs;
  }

  /** It is read when nobody holds it up. */
  setReading(change: Partial<Readers>): void {
    Object.assign(this.#isWanted, change);
    if (this.#isClosed) return;
    if (Object.values(this.#isWanted).every(Boolean)) this.#stream.resume();
    else this.#stream.pause();
  }

  /** Closes it, after what is still to be written if the client reads. */
  close(rest: Unwritten): void {
    this.#isClosed = true;
    const stream = this.#stream;
    // One that broke takes nothing any more, and `end` would make an error of that.
    if (stream.destroyed) return;
    if (rest.queuedBytes > LINGER_BYTES) {
      stream.destroy();
      return;
    }
    rest.flush();
    stream.end();
    // What is still sent is read and thrown away, so that the end of this side arrives.
    stream.resume();
    this.#linger = this.#timers.setTimer(this.#lingerMs, () => stream.destroy());
  }

  /** It is destroyed. */
  gone(): void {
    this.#linger?.cancel();
    dropListeners(this.#stream);
  }
}

/**
 * To be called when a stream was closed. A stream of node has a function that was assigned to a property, which V8 makes in its old generation: so it stays
 * until the next full collection, and whatever listens to it would stay with it.
 */
export function dropListeners(stream: Duplex): void {
  stream.removeAllListeners().on('error', ignore);
}

/** Nothing comes after the end. If it did, an error that nobody listens to would end the process. */
function ignore(): void {}
