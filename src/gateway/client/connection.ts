/** One connection of a client, from its first byte to its end. */
import type { Duplex } from 'node:stream';
import { unquotedMessageOf, type Timers } from '../../copilot/index.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { Admission } from '../admission/admission.ts';
import type { ClientHandler, ClientLink, CloseReason, Identity, Relay, TenantRef } from '../model.ts';
import { Authentication } from './authentication.ts';
import { Departure } from './departure.ts';
import type { FrameMemory } from './frame-memory.ts';
import { Greeting } from './greeting.ts';
import { cannotDecide, connected, framingLost, readConnect, tooFast, type ConnectRequest } from './handshake.ts';
import { Incoming } from './incoming.ts';
import { KEEPALIVE_MESSAGE, type KeptAlive } from './keepalive.ts';
import { CloseCause, type ClientInfo, type ClientLimits, type ClientObserver, type ClientSummary } from './model.ts';
import { Outgoing } from './outgoing.ts';
import type { Rates } from './rates.ts';
import { ClientSocket, LINGER_BYTES } from './socket.ts';
import { isAdmitted, nextState, type ClientEvent, type ClientState } from './state.ts';
import { Throttle } from './throttle.ts';
import type { UnreadMemory } from './unread-memory.ts';

/** What a connection needs. */
export interface ClientConnectionOptions {
  readonly id: number;
  /** IP address and port of the client. */
  readonly address: string;
  readonly stream: Duplex;
  readonly admission: Admission;
  readonly relay: Relay;
  readonly clock: { now(): number; monotonic(): number };
  readonly timers: Timers;
  readonly limits: ClientLimits;
  readonly memory: FrameMemory;
  readonly unread: UnreadMemory;
  readonly rates: Rates;
  /** Why the tenant can have no further client now; undefined: it can. */
  readonly noRoom: (tenant: TenantRef) => CloseReason | undefined;
  readonly observer: ClientObserver;
}

/** When a client may come back whose tenant had too many. */
const FULL_RETRY_AFTER_MS = 30_000;

/** A client, admitted or not. */
export class ClientConnection implements ClientLink, KeptAlive {
  readonly id: number;
  readonly address: string;
  readonly #options: ClientConnectionOptions;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #socket: ClientSocket;
  readonly #authentication: Authentication;
  #state: ClientState = 'Greeting';
  /** Until it is admitted. */
  #greeting: Greeting | undefined;
  /** From then on. */
  #throttle: Throttle | undefined;
  #handler: ClientHandler | undefined;
  #end: CloseReason | undefined;
  readonly #since: number;
  #application: string | undefined;
  #receivedBytes = 0;
  /** What had been sent at the last call of `keepAlive`. */
  #sentBefore = 0;
  /** Undefined: nobody wants it to go. */
  #departure: Departure | undefined;

  constructor(options: ClientConnectionOptions) {
    const { id, address, stream, admission, memory, limits, timers, clock, observer } = options;
    this.id = id;
    this.address = address;
    this.#since = clock.now();
    this.#options = options;
    // Not spread: each client that comes would copy all of them by name.
    const { greetingBytes } = limits;
    this.#incoming = new Incoming({ memory, greetingBytes, onBody: (body) => this.#onFrame(body) });
    this.#outgoing = new Outgoing(stream);
    this.#socket = new ClientSocket(stream, timers, limits.lingerMs);
    const send = (body: string): void => this.send(body);
    const close = (reason: CloseReason): void => this.close(reason);
    this.#authentication = new Authentication({
      admission,
      clock,
      timers,
      limits,
      send,
      denied: (denial) => observer.denied(this.#info, denial),
      tooMany: (message) => close({ reason: CloseCause.TooManyAttempts, message }),
      close,
      dismiss: (reason) => this.#departing().dismiss(reason),
    });
    this.#greeting = new Greeting({
      timers,
      clock,
      limits,
      authentication: this.#authentication,
      socket: this.#socket,
      send,
      close,
      become: (event) => this.#become(event),
      admit: (request, identity) => this.#admit(request, identity),
      onBody: (body) => this.#onBody(body),
    });
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('drain', () => this.#handler?.drained());
    stream.on('error', (error: NodeJS.ErrnoException) => this.#lost(error.code ?? error.message));
    stream.on('end', () =>
      this.#finish({ reason: CloseCause.ClientClosed, message: 'the client closed the connection' }),
    );
    stream.on('close', () => this.#gone());
    // It was paused if somebody has read its first bytes.
    stream.resume();
  }

  get state(): ClientState {
    return this.#state;
  }

  /** @throws Error before admission */
  get identity(): Identity {
    const { identity } = this.#authentication;
    if (identity === undefined) throw new Error(`client ${this.id} is not admitted`);
    return identity;
  }

  get queuedBytes(): number {
    return this.#outgoing.queuedBytes;
  }

  send(body: Buffer | string): void {
    if (this.#end !== undefined) return;
    this.#sent(this.#outgoing.send(body), 1);
  }

  sendFrames(frames: Buffer, count: number): void {
    if (this.#end !== undefined) return;
    this.#outgoing.sendFrames(frames);
    this.#sent(frames.length, count);
  }

  #sent(bytes: number, frames: number): void {
    const { observer, limits } = this.#options;
    observer.sent(bytes, frames);
    this.#departure?.sent();
    if (this.queuedBytes > (isAdmitted(this.#state) ? limits.queueBytes : limits.greetingQueueBytes)) {
      this.close({ reason: CloseCause.QueueFull, message: `the client has ${this.queuedBytes} bytes to read` });
    }
  }

  keepAlive(): void {
    if (isAdmitted(this.#state) && this.#outgoing.sentBytes === this.#sentBefore) this.send(KEEPALIVE_MESSAGE);
    this.#sentBefore = this.#outgoing.sentBytes;
  }

  pause(): void {
    this.#socket.setReading({ relay: false });
  }

  resume(): void {
    this.#socket.setReading({ relay: true });
  }

  close(reason: CloseReason): void {
    this.#finish(reason);
  }

  /** Decides again whether the client may stay: what its credential depends on has changed. */
  recheck(): void {
    this.#authentication.recheck();
  }

  /** Closes a connection that has nothing to lose, and lets an admitted one go on until `close`. */
  drain(): void {
    if (isAdmitted(this.#state)) this.#become('drain');
    else this.close({ reason: CloseCause.Drained, message: 'this gateway stops' });
  }

  /** Closes it as soon as nothing of it is under way, before it can begin another turn. */
  leave(reason: CloseReason): void {
    if (this.#end === undefined) this.#departing().leave(reason);
  }

  get summary(): ClientSummary {
    const { calls, sessions } = this.#handler?.work ?? { calls: 0, sessions: 0 };
    return {
      ...this.#info,
      state: this.#state,
      since: this.#since,
      application: this.#application,
      calls,
      sessions,
      queuedBytes: this.queuedBytes,
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#outgoing.sentBytes,
    };
  }

  get #info(): ClientInfo {
    return { id: this.id, address: this.address, identity: this.#authentication.identity };
  }

  #become(event: ClientEvent): void {
    this.#state = nextState(this.#state, event);
  }

  #onData(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    this.#options.observer.received(chunk.length);
    this.#receivedBytes += chunk.length;
    try {
      this.#incoming.push(chunk);
    } catch (error) {
      this.send(framingLost(error));
      this.close({ reason: CloseCause.FramingFault, message: unquotedMessageOf(error) });
      return;
    }
    this.#greeting?.received(chunk.length);
  }

  /** One that waits for a decision is taken twice, but it has come once. */
  #onFrame(body: Buffer): void {
    this.#options.observer.receivedFrame();
    this.#onBody(body);
  }

  #onBody(body: Buffer): void {
    // More frames of the same chunk may follow the one that ended the connection.
    if (this.#end !== undefined) return;
    if (this.#greeting === undefined) this.#relay(body);
    else this.#greeting.frame(body);
  }

  #admit(request: ConnectRequest, identity: Identity): void {
    const { limits, observer, relay, noRoom, unread, rates } = this.#options;
    const full = noRoom(identity.tenant);
    if (full !== undefined) {
      this.send(cannotDecide(request, full.message, FULL_RETRY_AFTER_MS));
      this.close(full);
      return;
    }
    const excess = rates.connected(identity);
    if (excess !== undefined) {
      observer.rateExceeded(excess.reason);
      this.send(tooFast(request.id, excess));
      this.close({ reason: CloseCause.RateLimit, message: excess.message });
      return;
    }
    this.#greeting?.end();
    this.#greeting = undefined;
    this.#become('admitted');
    this.#application = request.application;
    const tenant = keyOf(identity.tenant);
    const send = (body: string): void => this.send(body);
    const throttle = new Throttle({ identity, rates, observer, send });
    this.#throttle = throttle;
    this.#incoming.admit(tenant, {
      allowed: limits.frameBytes,
      toClient: send,
      toRelay: (body) => this.#handler?.frame(Buffer.from(body)),
      found: (length) => throttle.oversize(length),
    });
    this.#outgoing.admit(tenant, unread, (reason) => this.close(reason));
    // Before anything that the relay may send.
    this.send(connected(request));
    observer.admitted(this.#info);
    this.#handler = relay.attach(this);
    this.#authentication.watch();
  }

  /** Made for those clients only that are to go. */
  #departing(): Departure {
    const { timers, clock, limits } = this.#options;
    this.#departure ??= new Departure({
      timers,
      clock,
      limits,
      isBusy: () => this.#state === 'Admitting' || this.#handler?.isBusy === true,
      isBehind: () => this.queuedBytes > LINGER_BYTES,
      stopReading: () => this.#socket.setReading({ parting: false }),
      dismissed: () => this.#handler?.dismissed?.(),
      close: (reason) => this.close(reason),
    });
    return this.#departure;
  }

  #relay(body: Buffer): void {
    const request = readConnect(body);
    if (request !== undefined) return this.#authentication.renew(request);
    if (this.#throttle?.refuses(body) !== true) this.#handler?.frame(body);
  }

  #lost(what: string): void {
    this.#finish({ reason: CloseCause.ConnectionLost, message: `the connection broke (${what})` });
  }

  #finish(reason: CloseReason): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#become('end');
    this.#greeting?.end();
    this.#departure?.stop();
    this.#authentication.stop();
    this.#incoming.end();
    this.#outgoing.end();
    // Not at once: the relay may be in the middle of what led to this.
    queueMicrotask(() => this.#handler?.closed(reason));
    this.#socket.close(this.#outgoing);
  }

  #gone(): void {
    this.#lost('closed');
    this.#socket.gone();
    this.#options.observer.closed(this.#info, this.#end ?? { reason: CloseCause.ConnectionLost, message: '' });
  }
}
