/** TCP connections as the protocol needs them, dialled and accepted. */
import { connect, type Socket } from 'node:net';

/** One TCP connection. Tests put their own in its place. */
export interface Wire {
  /** Queues bytes; false when the peer reads slower than they are written, and `drained` will follow. */
  write(frame: string): boolean;
  /** Stops reading, so that the peer feels back-pressure. */
  pause(): void;
  resume(): void;
  /** Closes at once and frees the socket; `closed` follows. */
  destroy(): void;
}

/**
 * What happens on a wire, from after the moment when its owner has it. `closed` comes last and exactly once, also for a
 * connection that was never established.
 */
export interface WireEvents {
  connected(): void;
  /** The bytes are valid only during the call. */
  data(chunk: Buffer): void;
  drained(): void;
  closed(error: NodeJS.ErrnoException | undefined): void;
}

/** Where a connection goes. */
export interface Address {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
}

/** Begins to establish a connection. */
export type Dial = (address: Address, events: WireEvents) => Wire;

/** `host:port`, with which error messages begin. */
export function addressOf({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

// All dialled connections of the process read into this one buffer, each in its turn: a read is handled before the next
// begins, and a thousand idle or slow peers cost no read buffers.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** ms without a byte after which the kernel asks whether the peer is there still: ten times, a second apart. */
const KEEPALIVE_MS = 60_000;

/** Dials over TCP. */
export const dialTcp: Dial = (address, events) => wireOf(connectTo(address, events), events);

function connectTo({ host, port }: Address, events: WireEvents): Socket {
  const socket = connect({
    host,
    port,
    noDelay: true,
    // Who waits for events writes nothing, and would not notice a peer that is gone without a word.
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
    onread: {
      buffer: readBuffer,
      callback: (length, buffer) => {
        events.data((buffer as Buffer).subarray(0, length));
        return true;
      },
    },
  });
  socket.on('connect', () => events.connected());
  return socket;
}

/**
 * Dials over TCP, for who passes on what many others send: what is written in one turn of the event loop leaves in one call of the kernel,
 * which costs more than everything else that is done with a small frame.
 */
export const dialTcpGathering: Dial = dialTcpWhile(() => true);

/** The same, for who may lose the right to write: what is written, or was gathered, when `mayWrite` says no is not sent, and the connection reset: what the kernel has is not sent either. */
export function dialTcpWhile(mayWrite: () => boolean): Dial {
  return (address, events) => gatheringWire(connectTo(address, events), events, mayWrite);
}

function gatheringWire(socket: Socket, events: WireEvents, mayWrite: () => boolean): Wire {
  const wire = wireOf(socket, events);
  let gathered: string[] = [];
  let length = 0;
  /** Whether somebody was told that it is too much. */
  let isFull = false;
  const reset = (): void => {
    gathered = [];
    length = 0;
    // A reset waits for a connection that is being established.
    if (socket.connecting) wire.destroy();
    else socket.resetAndDestroy();
  };
  const release = (): void => {
    if (gathered.length === 0) return;
    if (!mayWrite()) return reset();
    const frames = gathered.join('');
    gathered = [];
    length = 0;
    const isTaken = socket.write(frames);
    // Otherwise the socket tells it.
    if (isFull && isTaken) events.drained();
    isFull = false;
  };
  return {
    ...wire,
    write: (frame) => {
      if (!mayWrite()) {
        reset();
        return false;
      }
      if (gathered.length === 0) setImmediate(release);
      gathered.push(frame);
      length += frame.length;
      isFull ||= socket.writableLength + length >= socket.writableHighWaterMark;
      return !isFull;
    },
    destroy: () => {
      isFull = false;
      if (!mayWrite()) return reset();
      // What was written before is sent, as without gathering.
      release();
      wire.destroy();
    },
  };
}

/** The wire of a connection that a server has accepted. */
export function acceptedWire(socket: Socket, events: WireEvents): Wire {
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => events.data(chunk));
  return wireOf(socket, events);
}

function wireOf(socket: Socket, events: WireEvents): Wire {
  let failure: NodeJS.ErrnoException | undefined;
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
}
