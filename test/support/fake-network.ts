import {
  FrameDecoder,
  encodeFrame,
  WRITE_CHECK_ID,
  type Dial,
  type Wire,
  type WireEvents,
} from '../../src/copilot/index.ts';

export interface Received {
  id?: number | string;
  method?: string;
  params?: Record<string, unknown>;
  error?: { code: number; message: string };
}

/** What a fake server does with a connection: speak the protocol, send nothing, refuse, or never complete the TCP handshake. */
type Behaviour = 'answers' | 'silent' | 'refuses' | 'blackhole';

/** A server at the other end of an in-memory wire. It speaks real frames, so the code under test is the real one. */
export class FakeServer {
  behaviour: Behaviour = 'answers';
  token = 'sesame';
  version = '1.0.102';
  /** Answers by method; return undefined to leave the request unanswered. */
  readonly answers: Record<string, (request: Received) => object | undefined> = {
    ping: () => ({ result: { message: 'pong', timestamp: '2026-01-01T00:00:00Z', protocolVersion: 3 } }),
    'status.get': () => ({ result: { version: this.version, protocolVersion: 3 } }),
    'sessions.bulkDelete': () => ({ result: { freedBytes: { [WRITE_CHECK_ID]: 0 } } }),
    connect: ({ params }) =>
      params?.['token'] === this.token
        ? { result: { ok: true, protocolVersion: 3, version: this.version } }
        : { error: { code: -32002, message: 'AUTHENTICATION_FAILED' } },
  };
  readonly wires = new Set<FakeWire>();
  readonly received: Received[] = [];
  dials = 0;

  /** How often a method was called. */
  calls(method: string): number {
    return this.received.filter((message) => message.method === method).length;
  }

  /** Closes every connection, with an error code or by FIN. */
  cut(code?: string): void {
    for (const wire of this.wires) wire.end(code);
  }

  /** Sends bytes of the test's own choice to every client. */
  sendRaw(bytes: string | Buffer): void {
    for (const wire of this.wires) wire.deliver(Buffer.from(bytes));
  }

  send(message: object): void {
    this.sendRaw(encodeFrame(JSON.stringify(message)));
  }
}

export class FakeWire implements Wire {
  readonly server: FakeServer;
  paused = false;
  /** Set false for a peer that does not read. */
  accepting = true;
  readonly #events: WireEvents;
  readonly #decoder: FrameDecoder;
  #closed = false;

  constructor(server: FakeServer, events: WireEvents) {
    this.server = server;
    this.#events = events;
    this.#decoder = new FrameDecoder((body) => this.#answer(JSON.parse(body.toString()) as Received));
    server.dials += 1;
    server.wires.add(this);
    if (server.behaviour === 'refuses') queueMicrotask(() => this.end('ECONNREFUSED'));
    else if (server.behaviour !== 'blackhole') queueMicrotask(() => this.#closed || events.connected());
  }

  write(frame: string): boolean {
    this.#decoder.push(Buffer.from(frame));
    return this.accepting;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  /** The peer has read everything. */
  drain(): void {
    this.accepting = true;
    this.#events.drained();
  }

  destroy(): void {
    this.end();
  }

  deliver(bytes: Buffer): void {
    if (!this.#closed) this.#events.data(bytes);
  }

  end(code?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.server.wires.delete(this);
    const error = code === undefined ? undefined : Object.assign(new Error(`connect ${code}`), { code });
    queueMicrotask(() => this.#events.closed(error));
  }

  #answer(request: Received): void {
    this.server.received.push(request);
    if (this.server.behaviour !== 'answers' || request.method === undefined) return;
    const unknown = (): object => ({ error: { code: -32601, message: `Unhandled method ${request.method}` } });
    const answer = (this.server.answers[request.method] ?? unknown)(request);
    if (answer === undefined) return;
    const frame = encodeFrame(JSON.stringify({ jsonrpc: '2.0', id: request.id, ...answer }));
    queueMicrotask(() => this.deliver(Buffer.from(frame)));
  }
}

/** Servers by host name; the name of any other host does not resolve. */
export class FakeNetwork {
  readonly #servers = new Map<string, FakeServer>();

  add(host: string): FakeServer {
    const server = new FakeServer();
    this.#servers.set(host, server);
    return server;
  }

  readonly dial: Dial = ({ host }, events) => {
    const server = this.#servers.get(host);
    if (server !== undefined) return new FakeWire(server, events);
    const wire = new FakeWire(Object.assign(new FakeServer(), { behaviour: 'blackhole' }), events);
    wire.end('ENOTFOUND');
    return wire;
  };
}
