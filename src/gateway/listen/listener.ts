/** Accepts connections of clients, plain and over TLS, and finds out where they come from. */
import { createServer, type BlockList, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { addressOf, type Timers } from '../../copilot/index.ts';
import { listen, type Address } from '../../kube/runtime/listen.ts';
import { HalfOpenSlot, unmapped, type HalfOpen } from '../client/half-open.ts';
import type { Certificates } from './certificates.ts';
import type { Source } from './proxy-protocol.ts';
import { readSource } from './source.ts';

/** Where to listen, and to whom connections go. */
export interface ListenerOptions {
  readonly plain: Address | undefined;
  readonly tls: { readonly at: Address; readonly certificates: Certificates } | undefined;
  /** From whom each connection begins with a PROXY protocol header; undefined: nobody. */
  readonly proxies: BlockList | undefined;
  /** Connections at once; a further one is closed at once. */
  readonly maxConnections: number;
  readonly halfOpen: HalfOpen;
  readonly timers: Timers;
  /** ms for the PROXY protocol header and the TLS handshake, each. */
  readonly handshakeMs: number;
  /** Takes a connection over. `address`: IP address and port of the client. */
  readonly accepted: (stream: Duplex, address: string, slot: HalfOpenSlot) => void;
  /** A connection did not get so far. */
  readonly rejected: (reason: RejectReason) => void;
}

/** Why a connection never became a client's. */
export const REJECT_REASONS = ['TooManyConnections', 'ProxyHeader', 'TLSHandshake', 'Lost', 'AcceptFailed'] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

/** Common load balancers forget a silent connection after 240 s to 350 s. */
const KEEPALIVE_MS = 60_000;

/** A raw connection on its way to becoming a client's. */
interface Accepted {
  readonly address: string;
  readonly slot: HalfOpenSlot;
}

/** The listening sockets. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #servers: Server[] = [];
  readonly #open = new Set<Socket>();
  /** Connections in their TLS handshake, by address and port of the other end. */
  readonly #inHandshake = new Map<string, Accepted>();
  /** The ports that were bound. */
  readonly ports: { plain?: number; tls?: number } = {};

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Resolves when all sockets listen; rejects if one cannot. */
  async listen(): Promise<void> {
    const { plain, tls, accepted } = this.#options;
    if (plain !== undefined) {
      this.ports.plain = await this.#bind(plain, (socket, { address, slot }) => accepted(socket, address, slot));
    }
    if (tls === undefined) return;
    const server = this.#tlsServer(tls.certificates);
    tls.certificates.follow((content) => server.setSecureContext(content));
    this.ports.tls = await this.#bind(tls.at, (socket, connection) => {
      this.#inHandshake.set(peerOf(socket), connection);
      socket.once('close', () => this.#inHandshake.delete(peerOf(socket)));
      server.emit('connection', socket);
    });
  }

  /** Accepts nothing more. Connections that were taken over stay. */
  close(): void {
    this.#options.tls?.certificates.stop();
    for (const socket of this.#open) socket.destroy();
    // Not waited for: they close when the last connection does, and those drain.
    for (const server of this.#servers) server.close();
  }

  #bind(at: Address, take: (socket: Socket, connection: Accepted) => void): Promise<number> {
    const { maxConnections, rejected } = this.#options;
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS }, (socket) => {
      this.#accept(socket, take);
    });
    server.maxConnections = maxConnections;
    server.on('drop', () => rejected('TooManyConnections'));
    this.#servers.push(server);
    return listen(server, at, () => rejected('AcceptFailed'), { backlog: BACKLOG });
  }

  #accept(socket: Socket, take: (socket: Socket, connection: Accepted) => void): void {
    const { halfOpen, proxies, rejected } = this.#options;
    const { remotePort } = socket;
    const remoteAddress = socket.remoteAddress && unmapped(socket.remoteAddress);
    // It was closed while it waited to be accepted.
    if (remoteAddress === undefined || remotePort === undefined) {
      rejected('Lost');
      socket.destroy();
      return;
    }
    const accepted = acceptedFrom(socket, { address: remoteAddress, port: remotePort });
    halfOpen.add(accepted.slot);
    const isProxy = proxies?.check(remoteAddress, remoteAddress.includes(':') ? 'ipv6' : 'ipv4') === true;
    if (isProxy) return void this.#acceptFrom(socket, accepted, take);
    socket.once('close', () => halfOpen.remove(accepted.slot));
    take(socket, accepted);
  }

  /** The same of a load balancer, which says first whose connection it is. */
  async #acceptFrom(
    socket: Socket,
    balancer: Accepted,
    take: (socket: Socket, connection: Accepted) => void,
  ): Promise<void> {
    const { halfOpen, timers, handshakeMs, rejected } = this.#options;
    let accepted = balancer;
    socket.once('close', () => halfOpen.remove(accepted.slot));
    this.#open.add(socket);
    const source = await readSource(socket, { timers, withinMs: handshakeMs });
    this.#open.delete(socket);
    halfOpen.remove(balancer.slot);
    if (source === 'Invalid' || socket.destroyed) {
      rejected(source === 'Invalid' ? 'ProxyHeader' : 'Lost');
      socket.destroy();
      return;
    }
    if (source !== undefined) accepted = acceptedFrom(socket, source);
    halfOpen.add(accepted.slot);
    take(socket, accepted);
  }

  #tlsServer(certificates: Certificates): TlsServer {
    const { handshakeMs, accepted, rejected } = this.#options;
    const wantsCertificate = certificates.content.ca !== undefined;
    const server = createTlsServer({
      ...certificates.content,
      minVersion: 'TLSv1.2',
      requestCert: wantsCertificate,
      rejectUnauthorized: wantsCertificate,
      handshakeTimeout: handshakeMs,
    });
    server.on('secureConnection', (socket) => {
      const connection = this.#inHandshake.get(peerOf(socket));
      this.#inHandshake.delete(peerOf(socket));
      if (connection === undefined) socket.destroy();
      else accepted(socket, connection.address, connection.slot);
    });
    server.on('tlsClientError', (_, socket) => {
      // Its raw socket closes with it, and frees its place.
      rejected('TLSHandshake');
      socket.destroy();
    });
    return server;
  }
}

/** Clients that come back all at once wait in the kernel. */
const BACKLOG = 4_096;

function acceptedFrom(socket: Socket, { address, port }: Source): Accepted {
  return {
    address: addressOf({ host: address, port }),
    slot: new HalfOpenSlot(address, () => socket.destroy()),
  };
}

function peerOf(socket: {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
