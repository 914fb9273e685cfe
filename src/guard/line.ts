/** Either end of what a guard connects: a socket, or a test's own. */
import type { Socket } from 'node:net';

/** Bytes to and from a peer. */
export interface Line {
  /** Queues bytes, which must not change any more; false when the peer reads slower than they are written, and `drained` will follow. */
  write(bytes: Buffer): boolean;
  /** Stops reading, so that the peer feels back-pressure. */
  pause(): void;
  resume(): void;
  /** Writes no more: the peer sees the end behind what was written. */
  end(): void;
  /** Closes when what was written is sent. */
  finish(): void;
  /** Closes at once; `closed` follows. */
  destroy(): void;
}

/** What happens on a line. `closed` comes last and exactly once. */
export interface LineEvents {
  connected(): void;
  /** The bytes stay as they are. */
  data(chunk: Buffer): void;
  drained(): void;
  /** The peer writes no more. */
  ended(): void;
  closed(): void;
}

/** The line of a socket, which has to be half-open. */
export function socketLine(socket: Socket, events: LineEvents): Line {
  // Many small frames cost as much as large ones; each read of many has them in one chunk of its own.
  socket.on('connect', () => events.connected());
  socket.on('data', (chunk: Buffer) => events.data(chunk));
  socket.on('drain', () => events.drained());
  socket.on('end', () => events.ended());
  // `close` follows, and says as much: who reset a connection has closed it.
  socket.on('error', () => undefined);
  socket.on('close', () => events.closed());
  return {
    write: (bytes) => socket.write(bytes),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    finish: () => socket.destroySoon(),
    destroy: () => void socket.destroy(),
  };
}
