/** One connection of a client, from its first byte to its end. */
import type { Duplex } from 'node:stream';
import { setDeadline, unquotedMessageOf, type Timers } from '../../copilot/index.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { Admission, Grant } from '../admission/admission.ts';
import type { ClientHandler, ClientLink, CloseReason, Identity, Relay, TenantRef } from '../model.ts';
import type { FrameMemory } from './frame-memory.ts';
import {
  authenticationFailed,
  cannotDecide,
  connected,
  framingLost,
  readConnect,
  readGreeting,
  whenTooFast,
  tooFast,
  type ConnectRequest,
} from './handshake.ts';
import { Incoming } from './incoming.ts';
import { KEEPALIVE_MESSAGE, type KeptAlive } from './keepalive.ts';
import { CloseCause, type ClientInfo, type ClientLimits, type ClientObserver, type ClientSummary } from './model.ts';
import { Outgoing } from './outgoing.ts';
import type { Rates } from './rates.ts';
import { Recheck } from './recheck.ts';
import { isAdmitted, nextState, type ClientEvent, type ClientState } from './state.ts';
import { TokenCheck } from './token-check.ts';
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

/** More than this is not waited for when a connection ends: the client has not been reading. */
const LINGER_BYTES = 64 * 1024;
/** How often a client is looked at whose tenant is gone, ms. */
const DISMISS_LOOK_MS = 25;
/** When a client may come back whose tenant had too many. */
const FULL_RETRY_AFTER_MS = 30_000;

/** Who may hold up that a client is read, and whether each lets it be. */
interface Readers {
  relay: boolean;
  admission: boolean;
  parting: boolean;
}

/** A client, admitted or not. */
export class ClientConnection implements ClientLink, KeptAlive {
  readonly id: number;
  readonly address: string;
  readonly #options: ClientConnectionOptions;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #greeting: { cancel(): void };
  readonly #tokens: TokenCheck;
  #state: ClientState = 'Greeting';
  #grant: Grant | undefined;
  #handler: ClientHandler | undefined;
  #recheck: Recheck | undefined;
  #end: CloseReason | undefined;
  readonly #since: number;
  #application: string | undefined;
  #receivedBytes = 0;
  /** What had been sent at the last call of `keepAlive`. */
  #sentBefore = 0;
  /** Of them, those before admission. */
  #greetingBytes = 0;
  /** Frames that arrived while a token was looked at. */
  #held: Buffer[] = [];
  /** Whether a further `connect` of an admitted client is being decided. */
  #isRenewing = false;
  /** Its tenant is gone. */
  #isDismissed = false;
  /** Who wants to read on. */
  readonly #isWanted: Readers = { relay: true, admission: true, parting: true };
  /** Why it is to be closed when nothing of it is under way. */
  #leaving: CloseReason | undefined;
  /** From that moment until it is closed. */
  #parting: { cancel(): void } | undefined;
  /** From the end until the socket is destroyed. */
  #linger: { cancel(): void } | undefined;

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
    this.#tokens = new TokenCheck({
      admission,
      clock,
      timers,
      limits,
      send: (body) => this.send(body),
      denied: (denial) => observer.denied(this.#info, denial),
      tooMany: (message) => this.close({ reason: CloseCause.TooManyAttempts, message }),
    });
    this.#greeting = setDeadline(timers, limits.greetingMs, () =>
      this.close({ reason: CloseCause.GreetingTimeout, message: `not admitted within ${limits.greetingMs} ms` }),
    );
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
    if (this.#grant === undefined) throw new Error(`client ${this.id} is not admitted`);
    return this.#grant.identity;
  }

  /** Bytes that are held of a client that is not admitted. */
  get greetingBytes(): number {
    return this.#state === 'Greeting' || this.#state === 'Admitting' ? this.#greetingBytes : 0;
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
    // It may have been the end of its turn, which the relay is about to take in.
    if (this.#leaving !== undefined) queueMicrotask(() => this.#partIfIdle());
    if (this.queuedBytes > (isAdmitted(this.#state) ? limits.queueBytes : limits.greetingQueueBytes)) {
      this.close({ reason: CloseCause.QueueFull, message: `the client has ${this.queuedBytes} bytes to read` });
    }
  }

  keepAlive(): void {
    if (isAdmitted(this.#state) && this.#outgoing.sentBytes === this.#sentBefore) this.send(KEEPALIVE_MESSAGE);
    this.#sentBefore = this.#outgoing.sentBytes;
  }

  pause(): void {
    this.#setReading({ relay: false });
  }

  resume(): void {
    this.#setReading({ relay: true });
  }

  close(reason: CloseReason): void {
    this.#finish(reason);
  }

  /** Decides again whether the client may stay: what its credential depends on has changed. */
  recheck(): void {
    this.#recheck?.now();
  }

  /** Closes a connection that has nothing to lose, and lets an admitted one go on until `close`. */
  drain(): void {
    if (isAdmitted(this.#state)) this.#become('drain');
    else this.close({ reason: CloseCause.Drained, message: 'this gateway stops' });
  }

  /** Closes it as soon as nothing of it is under way, before it can begin another turn. */
  leave(reason: CloseReason): void {
    this.#leaving ??= reason;
    this.#partIfIdle();
  }

  /** SDKs forget what they have not looked at when their connection ends, and that may be the end of the turn: so this takes a moment. */
  #partIfIdle(): void {
    const { timers, limits } = this.#options;
    const reason = this.#leaving;
    const isIdle = this.#state !== 'Admitting' && this.#handler?.isBusy !== true && this.queuedBytes <= LINGER_BYTES;
    if (reason === undefined || !isIdle || this.#parting !== undefined || this.#end !== undefined) return;
    this.#setReading({ parting: false });
    this.#parting = timers.setTimer(limits.partingMs, () => this.close(reason));
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
    return { id: this.id, address: this.address, identity: this.#grant?.identity };
  }

  /** It is read when nobody holds it up. */
  #setReading(change: Partial<Readers>): void {
    Object.assign(this.#isWanted, change);
    if (this.#end !== undefined) return;
    if (Object.values(this.#isWanted).every(Boolean)) this.#options.stream.resume();
    else this.#options.stream.pause();
  }

  #become(event: ClientEvent): void {
    this.#state = nextState(this.#state, event);
  }

  #onData(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    const { observer, limits } = this.#options;
    observer.received(chunk.length);
    this.#receivedBytes += chunk.length;
    if (!isAdmitted(this.#state)) this.#greetingBytes += chunk.length;
    try {
      this.#incoming.push(chunk);
    } catch (error) {
      this.send(framingLost(error));
      this.close({ reason: CloseCause.FramingFault, message: unquotedMessageOf(error) });
      return;
    }
    // Whoever is admitted by these bytes may have sent more behind them.
    if (this.greetingBytes > limits.greetingBytes) {
      this.close({ reason: CloseCause.GreetingTooLarge, message: `more than ${limits.greetingBytes} bytes` });
    }
  }

  /** One that waits for a decision is taken twice, but it has come once. */
  #onFrame(body: Buffer): void {
    this.#options.observer.receivedFrame();
    this.#onBody(body);
  }

  #onBody(body: Buffer): void {
    // More frames of the same chunk may follow the one that ended the connection.
    if (this.#end !== undefined) return;
    if (isAdmitted(this.#state)) this.#relay(body);
    else if (this.#state === 'Admitting') this.#held.push(Buffer.from(body));
    else this.#greet(body);
  }

  #greet(body: Buffer): void {
    const greeting = readGreeting(body, this.#options.clock.now());
    if (greeting.kind === 'Answer') this.send(greeting.body);
    else if (greeting.kind === 'Connect') this.#present(greeting.request);
  }

  #present(request: ConnectRequest): void {
    this.#become('presented');
    this.#tokens.check(request, (decision) => {
      if ('denied' in decision) this.#become('denied');
      else this.#admit(request, decision);
      this.#release();
    });
    // Only what waits for a decision: a client that is admitted at once is not stopped.
    if (this.#state === 'Admitting') this.#setReading({ admission: false });
  }

  #admit(request: ConnectRequest, grant: Grant): void {
    const { limits, observer, relay, noRoom, unread } = this.#options;
    this.#grant = grant;
    const full = noRoom(grant.identity.tenant);
    if (full !== undefined) {
      this.send(cannotDecide(request, full.message, FULL_RETRY_AFTER_MS));
      this.close(full);
      return;
    }
    const excess = this.#options.rates.connected(grant.identity);
    if (excess !== undefined) {
      observer.rateExceeded(excess.reason);
      this.send(tooFast(request.id, excess));
      this.close({ reason: CloseCause.RateLimit, message: excess.message });
      return;
    }
    this.#greeting.cancel();
    this.#become('admitted');
    this.#application = request.application;
    const tenant = keyOf(grant.identity.tenant);
    this.#incoming.admit(tenant, { allowed: limits.frameBytes, ...this.#oversizeSinks });
    this.#outgoing.admit(tenant, unread, (reason) => this.close(reason));
    // Before anything that the relay may send.
    this.send(connected(request));
    observer.admitted(this.#info);
    this.#handler = relay.attach(this);
    this.#watch();
  }

  readonly #oversizeSinks = {
    toClient: (body: string): void => this.send(body),
    toRelay: (body: string): void => this.#handler?.frame(Buffer.from(body)),
    found: (length: number): void => {
      const { observer, rates } = this.#options;
      observer.oversize();
      rates.overdrawn(this.identity, length);
    },
  };

  #watch(): void {
    const { timers, clock, limits } = this.#options;
    this.#recheck?.stop();
    const grant = this.#grant;
    if (grant === undefined) return;
    const close = (reason: CloseReason): void => this.close(reason);
    const dismiss = (reason: CloseReason): void => this.#dismiss(reason);
    this.#recheck = new Recheck({ grant, timers, clock, limits, close, dismiss });
  }

  /** Its tenant is gone. It ends when what it waits for is answered, also what is read only now because it had to be paused. */
  #dismiss(reason: CloseReason): void {
    if (this.#isDismissed) return;
    this.#isDismissed = true;
    const { clock, limits, timers } = this.#options;
    this.#handler?.dismissed?.();
    const endsAt = clock.monotonic() + limits.dismissMs;
    const lookSoon = (): void => {
      timers.setTimer(DISMISS_LOOK_MS, () => {
        if (this.#end !== undefined) return;
        if (this.#handler?.isBusy === true && clock.monotonic() < endsAt) lookSoon();
        else this.close(reason);
      });
    };
    lookSoon();
  }

  /** What arrived while the token was looked at goes the way that it would have gone, in its order. */
  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const body of held) this.#onBody(body);
    if (this.#state !== 'Admitting') this.#setReading({ admission: true });
  }

  #relay(body: Buffer): void {
    if (this.#isTooFast(body)) return;
    const request = readConnect(body);
    if (request === undefined) this.#handler?.frame(body);
    else this.#renew(request);
  }

  /** Whether a frame is refused because too much has come. */
  #isTooFast(body: Buffer): boolean {
    const { rates, observer } = this.#options;
    const excess = rates.received(this.identity, body.length);
    if (excess === undefined) return false;
    const found = whenTooFast(body);
    if (typeof found === 'object') {
      observer.rateExceeded(excess.reason);
      this.send(tooFast(found.refused, excess));
      return true;
    }
    rates.overdrawn(this.identity, body.length, found === 'Ignored' ? 'User' : 'All');
    return false;
  }

  /** Another `connect` of an admitted client: a fresh token for the same identity. It loses nothing by a wrong one. */
  #renew(request: ConnectRequest): void {
    if (this.#isRenewing) {
      this.send(
        cannotDecide(request, 'another connect of this client is not answered yet', this.#options.limits.refusalMs),
      );
      return;
    }
    this.#isRenewing = true;
    this.#tokens.check(request, (decision) => {
      this.#isRenewing = false;
      if ('denied' in decision) return;
      if (!isSame(decision.identity, this.identity)) {
        this.send(authenticationFailed(request));
        return;
      }
      this.#grant = decision;
      this.#watch();
      this.send(connected(request));
    });
  }

  #lost(what: string): void {
    this.#finish({ reason: CloseCause.ConnectionLost, message: `the connection broke (${what})` });
  }

  #finish(reason: CloseReason): void {
    if (this.#end !== undefined) return;
    const { stream, timers, limits } = this.#options;
    this.#end = reason;
    this.#become('end');
    this.#greeting.cancel();
    this.#parting?.cancel();
    this.#recheck?.stop();
    this.#tokens.stop();
    this.#incoming.end();
    this.#outgoing.end();
    this.#held = [];
    // Not at once: the relay may be in the middle of what led to this.
    queueMicrotask(() => this.#handler?.closed(reason));
    // One that broke takes nothing any more, and `end` would make an error of that.
    if (stream.destroyed) return;
    if (this.queuedBytes > LINGER_BYTES) {
      stream.destroy();
      return;
    }
    this.#outgoing.flush();
    stream.end();
    // What is still sent is read and thrown away, so that the end of this side arrives.
    stream.resume();
    this.#linger = timers.setTimer(limits.lingerMs, () => stream.destroy());
  }

  #gone(): void {
    this.#lost('closed');
    this.#linger?.cancel();
    this.#options.observer.closed(this.#info, this.#end ?? { reason: CloseCause.ConnectionLost, message: '' });
  }
}

function isSame(a: Identity, b: Identity): boolean {
  return a.tenant.namespace === b.tenant.namespace && a.tenant.name === b.tenant.name && a.user === b.user;
}
