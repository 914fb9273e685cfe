/** Where the log of a process goes that writes many lines at once: those of a few milliseconds are one write. */
import { pino, type DestinationStream } from 'pino';
import { systemClock, type Clock } from '../clock/clock.ts';

/** More than this is not gathered: what a pipe takes at once. */
const GATHERED_LENGTH = 64 * 1024;
/** From one write to the next, ms. */
const PAUSE_MS = 5;

/**
 * A write that blocks costs more than to make the line, and wakes up whoever reads it. A line that comes alone is written at the end of the turn of
 * the event loop, and so is not later than the lines that follow each other.
 */
export class GatheredLines implements DestinationStream {
  readonly #to: DestinationStream;
  readonly #clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  #lines = '';
  /** Monotonic ms of the last write. */
  #writtenAt = -Infinity;

  constructor(to: DestinationStream, clock: Pick<Clock, 'monotonic' | 'setTimer'> = systemClock) {
    this.#to = to;
    this.#clock = clock;
  }

  write(line: string): void {
    if (this.#lines === '') this.#flushLater();
    this.#lines += line;
    if (this.#lines.length >= GATHERED_LENGTH) this.flush();
  }

  /** Writes what was gathered: before the process exits, for the rest it happens by itself. pino calls it, too. */
  readonly flush = (): void => {
    const lines = this.#lines;
    if (lines === '') return;
    this.#lines = '';
    this.#writtenAt = this.#clock.monotonic();
    this.#to.write(lines);
  };

  #flushLater(): void {
    const waitMs = this.#writtenAt + PAUSE_MS - this.#clock.monotonic();
    if (waitMs > 0) this.#clock.setTimer(waitMs, this.flush);
    else setImmediate(this.flush);
  }
}

/** Gathers the lines for standard output, and loses none when the process exits. */
export function gatheredStdout(): GatheredLines {
  const lines = new GatheredLines(pino.destination({ dest: 1, sync: true }));
  process.on('exit', lines.flush);
  return lines;
}
