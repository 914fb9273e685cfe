/**
 * The relay behind a plain TCP port: one tenant with one server, and every token is admitted. What stands in front of the relay in
 * the gateway (admission, bounds of strangers) has tests of its own.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FrameDecoder, encodeFrame, formatAnswer, parseMessage } from '../../src/copilot/index.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { methodRules } from '../../src/gateway/methods/rules.ts';
import type {
  ClientHandler,
  ClientLink,
  CloseReason,
  Fleet,
  GatewayTenant,
  TenantRef,
} from '../../src/gateway/model.ts';
import type { RelayLimits } from '../../src/gateway/relay/model.ts';
import { createRelay, type ClosableRelay } from '../../src/gateway/relay/relay.ts';

const TENANT: TenantRef = { namespace: 'team', name: 'acme' };
const CONNECTED = { ok: true, protocolVersion: 3, version: '1.0.102', taskKinds: ['agent', 'shell', 'client'] };

/** A fleet of one tenant, which the test changes. */
export class StaticFleet implements Fleet {
  readonly isSynced = true;
  readonly #listeners = new Set<(tenant: TenantRef) => void>();
  #tenant: GatewayTenant;

  constructor(server: { readonly host: string; readonly port: number }, token: string) {
    this.#tenant = {
      ...TENANT,
      uid: 'uid-of-acme',
      access: 'Gateway',
      credentials: [],
      servers: [{ ...serverOf(server), podUID: 'pod-1', token: async () => token }],
    };
  }

  find({ namespace, name }: TenantRef): GatewayTenant | undefined {
    return namespace === TENANT.namespace && name === TENANT.name ? this.#tenant : undefined;
  }

  onChange(listener: (tenant: TenantRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(changes: Partial<GatewayTenant>): void {
    this.#tenant = { ...this.#tenant, ...changes };
    for (const listener of this.#listeners) listener(TENANT);
  }
}

function serverOf({ host, port }: { readonly host: string; readonly port: number }) {
  return { key: 'team/acme-0', host, port };
}

/** A relay that clients connect to. */
export class RelayListener implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly fleet: StaticFleet;
  /** Why connections were closed by the relay. */
  readonly cuts: CloseReason[] = [];
  readonly #relay: ClosableRelay;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #lastId = 0;

  private constructor(fleet: StaticFleet, limits: Partial<RelayLimits>) {
    this.fleet = fleet;
    this.#relay = createRelay({
      fleet,
      rules: methodRules('Dedicated'),
      clock: systemClock,
      log: { info: () => undefined },
      limits,
    });
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(
    server: { readonly host: string; readonly port: number },
    token: string,
    limits: Partial<RelayLimits> = {},
  ): Promise<RelayListener> {
    const listener = new RelayListener(new StaticFleet(server, token), limits);
    listener.#server.listen(0, listener.host);
    await once(listener.#server, 'listening');
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Clients that are connected. */
  get clients(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#relay.close();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    this.#lastId += 1;
    socket.setNoDelay(true);
    const link = this.#linkOf(socket, this.#lastId);
    let handler: ClientHandler | undefined;
    const decoder = new FrameDecoder((body) => {
      handler ??= this.#admit(link, body);
      if (!isConnect(body)) handler.frame(body);
    });
    let reason: CloseReason = { reason: 'ClientClosed', message: 'the client closed the connection' };
    socket.on('data', (chunk: Buffer) => decoder.push(chunk));
    socket.on('drain', () => handler?.drained());
    socket.on('error', (error) => {
      reason = { reason: 'ConnectionLost', message: error.message };
    });
    socket.on('close', () => {
      this.#sockets.delete(socket);
      handler?.closed(reason);
    });
  }

  #admit(link: ClientLink, body: Buffer): ClientHandler {
    const message = parseMessage(body);
    if (message.kind !== 'request' || message.method !== 'connect') throw new Error('the first frame is no "connect"');
    link.send(formatAnswer(message.id, CONNECTED));
    return this.#relay.attach(link);
  }

  #linkOf(socket: Socket, id: number): ClientLink {
    const { cuts } = this;
    return {
      id,
      identity: { tenant: TENANT, user: undefined, credential: 'Binding', expiresAt: undefined },
      send: (body) => {
        if (!socket.destroyed) socket.write(typeof body === 'string' ? encodeFrame(body) : framed(body));
      },
      get queuedBytes() {
        return socket.writableLength;
      },
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      close: (reason) => {
        cuts.push(reason);
        socket.destroy();
      },
    };
  }
}

function framed(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`, 'latin1'), body]);
}

function isConnect(body: Buffer): boolean {
  return body.includes('"method":"connect"');
}
