/** Where the log of a process goes that writes many lines at once: those of one turn of the event loop are one write. */
import { pino, type DestinationStream } from 'pino';

/** More than this is not gathered: what a pipe takes at once. */
const GATHERED_LENGTH = 64 * 1024;

/** A write that blocks costs more than to make the line, and wakes up whoever reads it. Nothing waits for a timer. */
export class GatheredLines implements DestinationStream {
  readonly #to: DestinationStream;
  #lines = '';

  constructor(to: DestinationStream) {
    this.#to = to;
  }

  write(line: string): void {
    if (this.#lines === '') setImmediate(this.flush);
    this.#lines += line;
    if (this.#lines.length >= GATHERED_LENGTH) this.flush();
  }

  /** Writes what was gathered: before the process exits, for the rest it happens by itself. pino calls it, too. */
  readonly flush = (): void => {
    const lines = this.#lines;
    this.#lines = '';
    if (lines !== '') this.#to.write(lines);
  };
}

/** Gathers the lines for standard output, and loses none when the process exits. */
export function gatheredStdout(): GatheredLines {
  const lines = new GatheredLines(pino.destination({ dest: 1, sync: true }));
  process.on('exit', lines.flush);
  return lines;
}
