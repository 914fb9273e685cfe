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
import type { FenceMeans } from '../../src/gateway/relay/fence/fence.ts';
import type { RelayLimits } from '../../src/gateway/relay/model.ts';
import { createRelay } from '../../src/gateway/relay/relay.ts';
import { RelayMetrics } from '../../src/gateway/report/relay-metrics.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { StaticFleet, TENANT, hostOf } from './static-fleet.ts';
import { StaticOwnership } from './static-ownership.ts';

/** What a frame says, as far as tests look. */
export interface Frame {
  readonly id?: RequestId;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: object };
}

/** An event, as servers write it. */
export interface JournalEvent {
  readonly type: string;
  readonly data: object;
  readonly ephemeral?: true;
  readonly id: string;
  readonly timestamp: string;
  readonly parentId: null;
}

const EPHEMERAL = /^(session\.idle|.+_delta|model\..+)$/;
let events = 0;

/** One that is unlike any other. */
export function journalEvent(type: string, data: object = {}): JournalEvent {
  events += 1;
  const ephemeral = EPHEMERAL.test(type) ? ({ ephemeral: true } as const) : {};
  return { type, data, ...ephemeral, id: `event-${events}`, timestamp: 't', parentId: null };
}

/** The server's end of one connection. */
export class ServerEnd {
  readonly received: Frame[] = [];
  /** Sessions that it was told to close before it was asked to load them, as one is that follows a lost server. It answers by itself. */
  readonly closedFirst: unknown[] = [];
  isWritable = true;
  isClosed = false;
  readonly events: WireEvents;
  /** The address that was dialled. */
  readonly host: string;

  constructor(events: WireEvents, host: string) {
    this.events = events;
    this.host = host;
  }

  /** Sends frames as they are, at once. */
  send(...bodies: string[]): void {
    this.events.data(Buffer.from(bodies.map(encodeFrame).join('')));
  }

  answer(id: RequestId | undefined, result: object): void {
    this.send(JSON.stringify({ jsonrpc: '2.0', id, result }));
  }

  refuse(id: RequestId | undefined, message: string): void {
    this.send(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32603, message } }));
  }

  /** Sends an event that was not sent before, and returns it. */
  event(sessionId: string, type: string, data: object = {}): JournalEvent {
    const event = journalEvent(type, data);
    const params = { sessionId, event };
    this.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params }));
    return event;
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
  /** How many frames came at once, each time that many could have. */
  readonly runs: number[] = [];
  isPaused = false;
  queuedBytes = 0;
  #handler: ClientHandler | undefined;
  #lastId = 0;

  /** What the relay has for it. */
  get handler(): ClientHandler {
    if (this.#handler === undefined) throw new Error('the client is not attached to a relay');
    return this.#handler;
  }

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
      sendFrames: (frames, count) => {
        this.runs.push(count);
        new FrameDecoder((body) => this.received.push(JSON.parse(body.toString()) as Frame)).push(frames);
      },
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

/** Timers of a connection on which nothing is under way: the server may become silent. */
export const CONNECTION_TIMERS = 1;

interface RelayWorldOptions {
  readonly mayFollow?: boolean;
  readonly clock?: FakeClock;
  /** What sessions of tenants whose servers share a volume are loaded with. */
  readonly shared?: FenceMeans;
}

export class RelayWorld {
  readonly fleet = new StaticFleet({ host: '10.0.0.1', port: 4321 }, 'token of the server');
  /** Connections that were dialled. */
  readonly dials: ServerEnd[] = [];
  /** The fields of each line of the log. */
  readonly logged: object[] = [];
  /** Whether the next dials are answered. */
  isUp = true;
  /** Addresses whose dials are not answered. */
  readonly down = new Set<string>();
  /** Answers `connect`. */
  connectAnswer = (end: ServerEnd, id: RequestId | undefined): void => end.answer(id, { ok: true });
  /** Answers `session.metadata.activity`, by which the gateway asks whether the server has a session in memory. */
  activityAnswer = (end: ServerEnd, id: RequestId | undefined): void => end.answer(id, { hasActiveWork: false });
  /** Answers `session.eventLog.read`, by which the gateway reads the end of a journal. */
  journalAnswer = (end: ServerEnd, id: RequestId | undefined): void =>
    end.answer(id, { events: this.journal, hasMore: false, cursor: 'c', cursorStatus: 'ok' });
  /** The durable events of any session that are on the disk of the server. */
  journal: readonly JournalEvent[] = [];
  /** What servers answer by themselves, by method. */
  readonly answers = new Map<string, (end: ServerEnd, frame: Frame) => void>();
  readonly registry = new Registry();
  readonly ownership = new StaticOwnership();
  readonly relay;
  readonly clock: FakeClock;
  #clients = 0;

  /** `mayFollow`: as with further replicas. */
  constructor(
    limits: Partial<RelayLimits> = {},
    { mayFollow = false, clock = new FakeClock(), shared }: RelayWorldOptions = {},
  ) {
    this.clock = clock;
    this.answers.set('ping', (end, { id }) => end.answer(id, { timestamp: new Date(clock.now()).toISOString() }));
    const { fleet } = this;
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
      mayFollow,
      shared,
      wakes: this.wakes,
    });
    observer.watch(this.relay);
  }

  /** How often the operator was to be asked to wake the tenant. */
  wakesWanted = 0;
  /** Where it is asked. */
  readonly wakes = { isHeard: true, ask: () => void (this.wakesWanted += 1) };

  /** The server's end of the last connection. */
  get server(): ServerEnd {
    const end = this.dials.at(-1);
    if (end === undefined) throw new Error('nothing was dialled');
    return end;
  }

  /** The server's end of the last connection to server `index`, of a fleet that was scaled. */
  serverAt(index: number): ServerEnd {
    const end = this.dials.findLast(({ host }) => host === hostOf(index));
    if (end === undefined) throw new Error(`server ${index} was not dialled`);
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

  readonly #dial: Dial = ({ host }, events) => {
    const end = new ServerEnd(events, host);
    this.dials.push(end);
    const decoder = new FrameDecoder((body) => this.#take(end, body));
    queueMicrotask(() => {
      if (this.isUp && !this.down.has(host)) events.connected();
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

  /** Only after a loss: what the first connection is told is for the test to answer. */
  #closesFirst(end: ServerEnd, { method, params }: Frame): boolean {
    const isLater = this.dials.some((each) => each !== end && each.isClosed);
    const loads = [...end.all('session.resume'), ...end.all('session.create')];
    const isLoaded = loads.some((load) => load.params?.['sessionId'] === params?.['sessionId']);
    return method === 'sessions.close' && isLater && !isLoaded;
  }

  #take(end: ServerEnd, body: Buffer): void {
    parseMessage(body);
    const frame = JSON.parse(body.toString()) as Frame;
    if (this.#closesFirst(end, frame)) {
      end.closedFirst.push(frame.params?.['sessionId']);
      queueMicrotask(() => end.answer(frame.id, {}));
      return;
    }
    end.received.push(frame);
    const answer = this.answers.get(frame.method ?? '');
    if (answer !== undefined) queueMicrotask(() => answer(end, frame));
    if (frame.method === 'connect') queueMicrotask(() => this.connectAnswer(end, frame.id));
    if (frame.method === 'session.metadata.activity') queueMicrotask(() => this.activityAnswer(end, frame.id));
    if (frame.method === 'session.eventLog.read') queueMicrotask(() => this.journalAnswer(end, frame.id));
  }
}

/** Has servers answer the close of a session that they were not asked to load, and forget that they got it: for tests that look at others. */
export function answersFirstClose(world: RelayWorld): void {
  world.answers.set('sessions.close', (end, frame) => {
    const isLoaded = end
      .all('session.resume')
      .some(({ params }) => params?.['sessionId'] === frame.params?.['sessionId']);
    if (isLoaded) return;
    end.received.splice(end.received.indexOf(frame), 1);
    end.answer(frame.id, {});
  });
}
