import { connect, type Socket } from 'node:net';

/** One TCP connection as the protocol needs it. Tests put their own in its place. */
export interface Wire {
  /** Queues bytes; false when the peer reads slower than they are written, and `drained` will follow. */
  write(frame: string): boolean;
  /** Stops reading, so that the peer feels back-pressure. */
  pause(): void;
  resume(): void;
  /** Closes at once and frees the socket; `closed` follows. */
  destroy(): void;
}

/** What a wire tells. `closed` comes last and exactly once, also for a connection that never came to be. */
export interface WireEvents {
  connected(): void;
  /** The bytes are valid only during the call. */
  data(chunk: Buffer): void;
  drained(): void;
  closed(error: NodeJS.ErrnoException | undefined): void;
}

export type Dial = (address: { readonly host: string; readonly port: number }, events: WireEvents) => Wire;

/** The part of a clock that deadlines need. */
export interface Timers {
  /** Calls `fn` once after `ms` unless cancelled. */
  setTimer(ms: number, fn: () => void): { cancel(): void };
}

// All connections of the process read into this one buffer, each in its turn: a read is handled before the next
// begins, and a thousand idle or slow peers cost no read buffers.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** Dials over TCP. */
export const dialTcp: Dial = ({ host, port }, events) => {
  let failure: NodeJS.ErrnoException | undefined;
  const socket: Socket = connect({
    host,
    port,
    noDelay: true,
    onread: {
      buffer: readBuffer,
      callback: (length, buffer) => {
        events.data((buffer as Buffer).subarray(0, length));
        return true;
      },
    },
  });
  socket.on('connect', () => events.connected());
  socket.on('drain', () => events.drained());
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('close', () => events.closed(failure));
  return {
    write: (frame) => socket.write(frame),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    destroy: () => void socket.destroy(),
  };
};
