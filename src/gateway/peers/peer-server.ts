/** Where other replicas connect to this one. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server, TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { Clock } from '../../kube/clock/clock.ts';
import { serverByKeys } from '../../kube/runtime/keyed-tls.ts';
import { listen, type Address } from '../../kube/runtime/listen.ts';
import { toError } from '../../kube/types/errors.ts';
import type { Keys } from '../../kube/types/keys.ts';
import { ControlStream } from './control-stream.ts';
import { readGreeting, refuse, welcome } from './greeting.ts';
import type { MemberInfo, Message } from './messages.ts';

export interface PeerServerOptions {
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'debug' | 'error'>;
  readonly self: () => MemberInfo;
  /** A message of a peer; what answers it goes to `reply`. */
  readonly message: (from: MemberInfo, message: Message, reply: (message: Message) => void) => void;
  /** A stream that a peer has opened for a client. */
  readonly forward: (stream: Duplex, from: string) => void;
}

/** For the handshake, and for the greeting after it, ms. */
const GREETING_MS = 5_000;
/** Connections that have not greeted yet: whoever has no key can make no more of them. */
const MAX_STRANGERS = 100;

/** Takes streams of those that have the key and mean this process. */
export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #server: Server;
  readonly #controls = new Set<ControlStream>();
  /** By address and port. */
  readonly #strangers = new Map<string, Socket>();

  constructor(options: PeerServerOptions) {
    this.#options = options;
    const { keys, log } = options;
    this.#server = serverByKeys(keys, GREETING_MS, (socket) => void this.#greet(socket));
    this.#server.on('connection', (socket) => {
      if (this.#strangers.size >= MAX_STRANGERS) {
        socket.destroy();
        return;
      }
      const key = keyOf(socket);
      this.#strangers.set(key, socket);
      socket.once('close', () => this.#strangers.delete(key));
    });
    this.#server.on('tlsClientError', (error) => log.debug({ err: error }, 'a connection to the port of peers failed'));
  }

  /** Resolves to the port; rejects if it is in use. */
  listen(at: Address): Promise<number> {
    return listen(this.#server, at, (error) => {
      this.#options.log.error({ err: error }, 'failed to accept a connection on the port of peers');
    });
  }

  /** Ends the control streams: peers come back, and learn the id that this process has now. */
  endControls(): void {
    for (const control of this.#controls) control.destroy();
    this.#controls.clear();
  }

  /** Takes no more streams, and ends those for control. Those for clients belong to whoever took them. */
  close(): void {
    this.#server.close();
    for (const stranger of this.#strangers.values()) stranger.destroy();
    this.endControls();
  }

  async #greet(socket: TLSSocket): Promise<void> {
    const { clock, log, self, forward } = this.#options;
    const timer = clock.setTimer(GREETING_MS, () => void socket.destroy());
    try {
      const { from, to, purpose } = await readGreeting(socket);
      if (to !== self().id) return refuse(socket, self().id);
      this.#strangers.delete(keyOf(socket));
      welcome(socket);
      if (purpose === 'forward') forward(socket, from.id);
      else this.#control(socket, from);
    } catch (error) {
      log.debug({ error: toError(error).message }, 'a connection to the port of peers was no stream of a peer');
      socket.destroy();
    } finally {
      timer.cancel();
    }
  }

  #control(socket: TLSSocket, from: MemberInfo): void {
    const { message, log } = this.#options;
    const reply = (answer: Message): void => stream.send(answer);
    const stream: ControlStream = new ControlStream(socket, {
      message: (received) => message(from, received, reply),
      ended: (why) => {
        this.#controls.delete(stream);
        log.debug({ peer: from.id, why }, 'a control stream of a peer has ended');
      },
    });
    this.#controls.add(stream);
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
