/** A relay between links and servers that the test plays frame by frame, without network and with a clock that it moves. */
import { Registry } from 'prom-client';
import {
  FrameDecoder,
  encodeFrame,
  formatRequest,
  parseMessage,
  type Dial,
  type RequestId,
  type WireEvents,
} from '../../src/copilot/index.ts';
import { rulesByIsolation } from '../../src/gateway/methods/rules.ts';
import type { ClientHandler, ClientLink, ClientWork, CloseReason, TenantRef } from '../../src/gateway/model.ts';
import type { RelayLimits } from '../../src/gateway/relay/model.ts';
import { createRelay } from '../../src/gateway/relay/relay.ts';
import { RelayMetrics } from '../../src/gateway/report/relay-metrics.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { StaticFleet, TENANT } from './static-fleet.ts';
import { StaticOwnership } from './static-ownership.ts';

/** What a frame says, as far as tests look. */
export interface Frame {
  readonly id?: RequestId;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: object };
}

/** The server's end of one connection. */
export class ServerEnd {
  readonly received: Frame[] = [];
  isWritable = true;
  isClosed = false;
  readonly events: WireEvents;

  constructor(events: WireEvents) {
    this.events = events;
  }

  /** Sends a frame as it is. */
  send(body: string): void {
    this.events.data(Buffer.from(encodeFrame(body)));
  }

  answer(id: RequestId | undefined, result: object): void {
    this.send(JSON.stringify({ jsonrpc: '2.0', id, result }));
  }

  refuse(id: RequestId | undefined, message: string): void {
    this.send(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32603, message } }));
  }

  event(sessionId: string, type: string, data: object = {}): void {
    const params = { sessionId, event: { type, data, id: 'e', timestamp: 't', parentId: null } };
    this.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params }));
  }

  request(id: RequestId, method: string, params: object): void {
    this.send(formatRequest(id, method, params));
  }

  /** The last request of this method. */
  last(method: string): Frame {
    const found = this.received.findLast((frame) => frame.method === method);
    if (found === undefined) throw new Error(`the server got no ${method}`);
    return found;
  }

  /** All requests of this method. */
  all(method: string): Frame[] {
    return this.received.filter((frame) => frame.method === method);
  }

  count(method: string): number {
    return this.all(method).length;
  }

  /** What was answered to a request of the server. */
  answered(id: RequestId): Frame | undefined {
    return this.received.find((frame) => frame.method === undefined && frame.id === id);
  }
}

/** An admitted client. */
export class ClientEnd {
  readonly received: Frame[] = [];
  readonly cuts: CloseReason[] = [];
  isPaused = false;
  queuedBytes = 0;
  #handler: ClientHandler | undefined;
  #lastId = 0;

  get work(): ClientWork | undefined {
    return this.#handler?.work;
  }

  attachTo(relay: { attach(link: ClientLink): ClientHandler }, id: number, tenant: TenantRef, user?: string): void {
    const queuedBytes = () => this.queuedBytes;
    this.#handler = relay.attach({
      id,
      identity: {
        tenant,
        user,
        credential: 'Binding',
        expiresAt: undefined,
      },
      send: (body) => void this.received.push(JSON.parse(body.toString()) as Frame),
      get queuedBytes() {
        return queuedBytes();
      },
      pause: () => void (this.isPaused = true),
      resume: () => void (this.isPaused = false),
      close: (reason) => {
        this.cuts.push(reason);
        this.leave();
      },
    });
  }

  /** Sends a frame as it is. */
  send(body: string): void {
    this.#handler?.frame(Buffer.from(body));
  }

  /** Sends a request and returns its id. */
  call(method: string, params: object = {}): number {
    this.#lastId += 1;
    this.send(formatRequest(this.#lastId, method, params));
    return this.#lastId;
  }

  leave(): void {
    this.#handler?.closed({ reason: 'Test', message: 'left' });
  }

  /** The answer to a request. */
  answer(id: RequestId): Frame | undefined {
    return this.received.find((frame) => frame.method === undefined && frame.id === id);
  }

  /** The last request of the server of this method. */
  asked(method: string): Frame | undefined {
    return this.received.findLast((frame) => frame.method === method && frame.id !== undefined);
  }

  /** Types of the events that it got. */
  get events(): unknown[] {
    return this.received
      .filter(({ method }) => method === 'session.event')
      .map(({ params }) => (params?.['event'] as { type: string } | undefined)?.type);
  }
}

export class RelayWorld {
  readonly clock = new FakeClock();
  readonly fleet = new StaticFleet({ host: '10.0.0.1', port: 4321 }, 'token of the server');
  /** Connections that were dialled. */
  readonly dials: ServerEnd[] = [];
  /** The fields of each line of the log. */
  readonly logged: object[] = [];
  /** Whether the next dials are answered. */
  isUp = true;
  /** Answers `connect`. */
  connectAnswer = (end: ServerEnd, id: RequestId | undefined): void => end.answer(id, { ok: true });
  /** Answers `session.metadata.activity`, by which the gateway asks whether the server has a session in memory. */
  activityAnswer = (end: ServerEnd, id: RequestId | undefined): void => end.answer(id, { hasActiveWork: false });
  readonly registry = new Registry();
  readonly ownership = new StaticOwnership();
  readonly relay;
  #clients = 0;

  constructor(limits: Partial<RelayLimits> = {}) {
    const { fleet, clock } = this;
    const log = { info: (fields: object) => void this.logged.push(fields) };
    const observer = new RelayMetrics(this.registry);
    this.relay = createRelay({
      fleet,
      clock,
      log,
      limits,
      observer,
      rules: rulesByIsolation(),
      ownership: this.ownership,
      dial: this.#dial,
    });
    observer.watch(this.relay);
  }

  /** The server's end of the last connection. */
  get server(): ServerEnd {
    const end = this.dials.at(-1);
    if (end === undefined) throw new Error('nothing was dialled');
    return end;
  }

  client(tenant: TenantRef = TENANT, user?: string): ClientEnd {
    const end = new ClientEnd();
    this.#clients += 1;
    end.attachTo(this.relay, this.#clients, tenant, user);
    return end;
  }

  /** The series of a metric that are not 0, by the value of their label. */
  async counted(name: string): Promise<Record<string, number>> {
    const { values = [] } = (await this.registry.getSingleMetric(`copilot_gateway_${name}`)?.get()) ?? {};
    const found = values.filter(({ value }) => value !== 0);
    return Object.fromEntries(found.map(({ labels, value }) => [Object.values(labels).join(), value]));
  }

  /** A client that has made or resumed a session. */
  async attached(sessionId: string, params: object = {}): Promise<ClientEnd> {
    const client = this.client();
    await this.attach(client, sessionId, params);
    return client;
  }

  async attach(client: ClientEnd, sessionId: string, params: object = {}): Promise<void> {
    const id = client.call('session.resume', { ...params, sessionId });
    await settle();
    this.server.answer(this.server.last('session.resume').id, { sessionId });
    await settle();
    if (client.answer(id)?.result === undefined) throw new Error('the client was not attached');
  }

  readonly #dial: Dial = (_, events) => {
    const end = new ServerEnd(events);
    this.dials.push(end);
    const decoder = new FrameDecoder((body) => this.#take(end, body));
    queueMicrotask(() => {
      if (this.isUp) events.connected();
      else events.closed(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    });
    return {
      write: (frame) => {
        decoder.push(Buffer.from(frame));
        return end.isWritable;
      },
      pause: () => undefined,
      resume: () => undefined,
      destroy: () => {
        end.isClosed = true;
        queueMicrotask(() => events.closed(undefined));
      },
    };
  };

  #take(end: ServerEnd, body: Buffer): void {
    parseMessage(body);
    const frame = JSON.parse(body.toString()) as Frame;
    end.received.push(frame);
    if (frame.method === 'connect') queueMicrotask(() => this.connectAnswer(end, frame.id));
    if (frame.method === 'session.metadata.activity') queueMicrotask(() => this.activityAnswer(end, frame.id));
  }
}
