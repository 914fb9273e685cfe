/** The leg of a client whose home is another replica: a stream to it, at the end of the client's holder. */
import {
  isObject,
  parseMessage,
  setDeadline,
  unquotedMessageOf,
  type Message,
  type Timers,
} from '../../copilot/index.ts';
import type { ClientWork, CloseReason, MethodRules } from '../model.ts';
import { HomeUnavailableError, type Peer } from '../peers/model.ts';
import type { ClientState, DeclaredSession } from '../relay/setup/client-state.ts';
import { invalid } from '../relay/refusals.ts';
import { Declared } from './declared.ts';
import type { Leg, LegClient, LegEnd } from './leg.ts';
import type { ForwardLimits } from './limits.ts';
import type { ClientMessage, HolderMessage, HomeMessage } from './messages.ts';
import { PeerStream } from './peer-stream.ts';

/** The peer is not the home: it has to be asked again which one is. */
export class NotHomeError extends Error {}

export interface ForwardLegOptions {
  readonly peer: Peer;
  readonly presented: ClientMessage;
  readonly rules: Pick<MethodRules, 'ruleOf'>;
  /** What the client has declared before. */
  readonly before: ClientState;
  readonly timers: Timers;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly limits: ForwardLimits;
  readonly client: LegClient;
  /** The stream is open. */
  readonly opened: (leg: ForwardLeg) => void;
  /** It has ended, once and last. */
  readonly over: (leg: ForwardLeg) => void;
}

const LOST = 'The replica of the gateway that served the tenant was lost';
const MOVED = 'The replica of the gateway that served the tenant has stopped';

/** It keeps what the client declares, and tells the home how much the client has read. */
export class ForwardLeg implements Leg {
  readonly #options: ForwardLegOptions;
  readonly #stream: PeerStream<HolderMessage, HomeMessage>;
  readonly #declared: Declared;
  readonly #accepted = Promise.withResolvers<void>();
  #isAccepted = false;
  #takesOver = false;
  #isOver = false;
  /** Why the client is not read. */
  readonly #paused = { byHome: false, byStream: false };
  /** Bytes of frames for the client. */
  #receivedBytes = 0;
  /** Of them, those that the home knows to be read. */
  #readBytes = 0;

  private constructor(options: ForwardLegOptions, stream: Awaited<ReturnType<Peer['connect']>>) {
    this.#options = options;
    this.#declared = new Declared(options.rules, options.before.sessions, options.now);
    this.#stream = new PeerStream({
      stream,
      maxFrameBytes: options.limits.frameBytes,
      onFrame: (body) => this.#onFrame(body),
      onRun: (frames, count) => this.#onRun(frames, count),
      onMessage: (message) => this.#onMessage(message),
      onDrained: () => this.#onDrained(),
      onEnded: (why) => this.#end({ reason: 'PeerLost', what: LOST }, why),
    });
  }

  /**
   * Resolves when the peer has taken the client.
   * @throws NotHomeError, HomeUnavailableError or PeerUnreachableError
   */
  static async open(options: ForwardLegOptions): Promise<ForwardLeg> {
    const { peer, presented, timers, limits } = options;
    const leg = new ForwardLeg(options, await peer.connect('forward'));
    const late = new HomeUnavailableError(`replica ${peer.id} does not answer`);
    const deadline = setDeadline(timers, limits.acceptMs, () => leg.#refuse(late));
    options.opened(leg);
    leg.#stream.message(presented);
    try {
      await leg.#accepted.promise;
    } finally {
      deadline.cancel();
    }
    return leg;
  }

  get isBusy(): boolean {
    return this.#declared.isBusy;
  }

  get work(): ClientWork {
    return this.#declared.work;
  }

  get state(): ClientState {
    return this.#declared.state;
  }

  restored(sessionId: string): void {
    // It was opened with what was before, and learns what passes by.
    if (!this.#takesOver) this.#declared.cut(sessionId);
  }

  forget(sessionId: string): void {
    this.#declared.forget(sessionId);
  }

  get takesOver(): boolean {
    return this.#takesOver;
  }

  expect(session: DeclaredSession): void {
    this.#stream.message({ type: 'Before', session });
  }

  ask(body: string): void {
    this.#stream.frame(body);
  }

  frame(body: Buffer): void {
    if (this.#isOver) return;
    let message: Message;
    try {
      message = parseMessage(body);
    } catch (error) {
      return this.#options.client.close({ reason: 'ProtocolError', message: unquotedMessageOf(error) });
    }
    if (message.kind === 'request') {
      const { id, method, params } = message;
      if (this.#declared.waitsFor(id)) {
        return this.#options.client.send(invalid(id, 'the id of a request that is not answered yet'));
      }
      this.#declared.called({ id, method, params: isObject(params) ? params : {} });
    }
    this.#stream.frame(body);
    this.#feelBackPressure();
  }

  /** The peer is gone. */
  lose(): void {
    this.#end({ reason: 'PeerLost', what: LOST }, 'it is gone');
  }

  drained(): void {
    this.#tellRead(1);
  }

  closed(reason: CloseReason): void {
    if (this.#isOver) return;
    this.#stream.message({ type: 'Ended', ...reason });
    this.#finish();
  }

  #onFrame(body: Buffer): void {
    this.#receivedBytes += body.length;
    this.#options.client.send(body);
    this.#declared.received(body);
    this.#tellRead(this.#options.limits.readStepBytes);
  }

  /** Pieces of events, which say nothing of what the client has declared. */
  #onRun(frames: Buffer, count: number): void {
    this.#receivedBytes += frames.length;
    this.#options.client.sendFrames(frames, count);
    this.#tellRead(this.#options.limits.readStepBytes);
  }

  /** Tells the home, if it is at least `step` bytes more than it knows. */
  #tellRead(step: number): void {
    const bytes = this.#receivedBytes - Math.min(this.#receivedBytes, this.#options.client.queuedBytes);
    if (this.#isOver || bytes - this.#readBytes < step) return;
    this.#readBytes = bytes;
    this.#stream.message({ type: 'Read', bytes });
  }

  #onMessage(message: HomeMessage): void {
    const { client, peer } = this.#options;
    switch (message.type) {
      case 'Accepted':
        this.#isAccepted = true;
        this.#takesOver = message.takesOver === true;
        return this.#accepted.resolve();
      case 'Told':
        return this.#declared.told(message);
      case 'NotHome':
        return this.#refuse(new NotHomeError(`replica ${peer.id} is not the home`));
      case 'Refused':
        return this.#refuse(new HomeUnavailableError(message.message));
      case 'Pause':
        return this.#pause({ byHome: true });
      case 'Resume':
        return this.#pause({ byHome: false });
      case 'Hold':
        client.hold(message.what);
        return this.#stream.message({ type: 'Holds', what: message.what });
      case 'Moved':
        return this.#end({ reason: 'PeerMoved', what: MOVED }, 'it has given the tenant up');
      case 'Close':
        this.#refuse(new HomeUnavailableError(message.message));
        return client.close({ reason: message.reason, message: message.message });
    }
  }

  #feelBackPressure(): void {
    if (this.#stream.outgoing.queuedBytes > this.#options.limits.unreadBytes) this.#pause({ byStream: true });
  }

  #onDrained(): void {
    this.#pause({ byStream: false });
  }

  #pause(change: Partial<{ byHome: boolean; byStream: boolean }>): void {
    const { client } = this.#options;
    Object.assign(this.#paused, change);
    if (this.#paused.byHome || this.#paused.byStream) client.pause();
    else client.resume();
  }

  #refuse(error: Error): void {
    if (this.#isOver) return;
    this.#finish();
    this.#accepted.reject(error);
  }

  /** `why` is for who waits until the peer takes the client. */
  #end(end: LegEnd, why: string): void {
    if (this.#isOver) return;
    this.#finish();
    if (this.#isAccepted) return this.#options.client.ended(end);
    const message = `the connection to replica ${this.#options.peer.id} was lost: ${why}`;
    this.#accepted.reject(new HomeUnavailableError(message));
  }

  #finish(): void {
    this.#isOver = true;
    this.#stream.end();
    this.#options.over(this);
  }
}
