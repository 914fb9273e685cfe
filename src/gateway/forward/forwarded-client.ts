/** A client that a peer holds and that has its home here: the other end of its {@link ForwardLeg}. To the relay it is a client like any other. */
import type { Duplex } from 'node:stream';
import { FrameDecoder, setDeadline, type Timers } from '../../copilot/index.ts';
import { keyOf } from '../../kube/types/types.ts';
import type { UnreadMemory } from '../client/unread-memory.ts';
import type { ClientLink, CloseReason, Identity, ToldRules } from '../model.ts';
import type { MovableHandler } from '../relay/setup/client-state.ts';
import type { LegEnd } from './leg.ts';
import type { ForwardLimits } from './limits.ts';
import { isClientMessage, type ClientMessage, type Holding, type HolderMessage, type HomeMessage } from './messages.ts';
import { PeerStream } from './peer-stream.ts';
import { hasCalls, type Resident } from './resident.ts';

export interface ForwardedClientOptions {
  readonly stream: Duplex;
  /** Id of the peer. */
  readonly from: string;
  readonly timers: Timers;
  readonly limits: ForwardLimits;
  readonly unread: UnreadMemory;
  /** Decides about the client; `attach` or `refuse` follows. */
  readonly presented: (client: ForwardedClient, message: ClientMessage) => void;
  /** Its holder speaks another version, and its clients are not taken. */
  readonly foreign: () => void;
  /** Its connection is to be closed. Its holder may not hear of that by the stream, if much waits there to be read. */
  readonly cut: (client: ForwardedClient, reason: CloseReason) => void;
  /** It is gone, once and last. */
  readonly gone: (client: ForwardedClient) => void;
}

/** From the first message of its holder to the end of the stream. */
export class ForwardedClient implements ClientLink, Resident {
  place: Resident['place'];
  readonly #options: ForwardedClientOptions;
  readonly #stream: PeerStream<HomeMessage, HolderMessage>;
  readonly #greeting: { cancel(): void };
  #message: ClientMessage | undefined;
  #handler: MovableHandler | undefined;
  #isOver = false;
  /** Bytes of frames for the client, and those that it has read. */
  #sentBytes = 0;
  #readBytes = 0;
  /** Those that wait until the holder holds something. */
  readonly #holding = new Map<Holding, () => void>();

  constructor(options: ForwardedClientOptions) {
    this.#options = options;
    const { stream, limits, timers } = options;
    this.#stream = new PeerStream({
      stream,
      maxFrameBytes: limits.frameBytes,
      onFrame: (body) => this.#handler?.frame(body),
      onMessage: (message) => this.#onMessage(message),
      onDrained: () => this.#handler?.drained(),
      onEnded: (why) => this.#end({ reason: 'HolderLost', message: `the connection to its replica was lost: ${why}` }),
    });
    this.#greeting = setDeadline(timers, limits.acceptMs, () => this.refuse({ type: 'Refused', message: 'too late' }));
  }

  /** Id of the peer that holds it. */
  get from(): string {
    return this.#options.from;
  }

  get id(): string {
    return `${this.from}/${this.#message?.id ?? ''}`;
  }

  /** @throws Error before it was presented */
  get identity(): Identity {
    if (this.#message === undefined) throw new Error('the client was not presented');
    return this.#message.identity;
  }

  get askedBefore(): number {
    return this.#message?.askedBefore ?? 0;
  }

  get saysNoBefore(): boolean {
    return this.#message?.takesOver !== true;
  }

  /** Bytes that the client has yet to read, wherever they are. */
  get queuedBytes(): number {
    return this.#sentBytes - this.#readBytes;
  }

  get hasCalls(): boolean {
    return hasCalls(this.#handler?.work);
  }

  /** Whether its holder has said who it is. */
  get isPresented(): boolean {
    return this.#message !== undefined;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Its holder is gone, which the stream may not tell. */
  lose(): void {
    this.#end({ reason: 'HolderLost', message: 'its replica is gone' });
  }

  send(body: Buffer | string): void {
    this.#sentBytes += typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    this.#stream.frame(body);
  }

  told(rules: ToldRules): void {
    if (rules.calls.length > 0 || rules.isIncomplete) this.#stream.message({ type: 'Told', ...rules });
  }

  sendFrames(frames: Buffer, count: number): void {
    // A holder of an earlier version knows single frames only.
    if (this.#message?.takesRuns !== true) return new FrameDecoder((body) => this.send(body)).push(frames);
    this.#sentBytes += frames.length;
    this.#stream.run(frames, count);
  }

  pause(): void {
    this.#stream.message({ type: 'Pause' });
  }

  resume(): void {
    this.#stream.message({ type: 'Resume' });
  }

  close(reason: CloseReason): void {
    this.#options.cut(this, reason);
    this.#stream.message({ type: 'Close', ...reason });
    this.#end(reason);
  }

  /** This replica is its home. */
  attach(attach: (link: ClientLink) => MovableHandler): void {
    this.#greeting.cancel();
    this.#stream.outgoing.admit(keyOf(this.identity.tenant), this.#options.unread, (reason) => this.close(reason));
    // Before anything that the relay may send.
    this.#stream.message({ type: 'Accepted', takesOver: true });
    this.#handler = attach(this);
  }

  /** It is not, or it cannot be said. */
  refuse(message: HomeMessage & { readonly type: 'NotHome' | 'Refused' }): void {
    this.#stream.message(message);
    this.#end({ reason: message.type, message: 'the client was not taken' });
  }

  hold(what: Holding): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#holding.set(what, resolve);
    this.#stream.message({ type: 'Hold', what });
    return promise;
  }

  leave({ reason, what }: LegEnd): void {
    // In any other case its holder finds the stream ended.
    if (reason === 'Drained') this.#stream.message({ type: 'Moved' });
    this.#close({ reason, message: what });
    this.#end({ reason, message: what });
  }

  #onMessage(message: HolderMessage): void {
    switch (message.type) {
      case 'Client':
        return this.#presented(message);
      case 'Before':
        return this.#handler?.expect(message.session);
      case 'Read':
        this.#readBytes = message.bytes;
        return;
      case 'Holds':
        return this.#holding.get(message.what)?.();
      case 'Ended':
        return this.#end({ reason: message.reason, message: message.message });
    }
  }

  #presented(message: ClientMessage): void {
    if (this.#message !== undefined) return;
    if (!isClientMessage(message)) {
      this.#options.foreign();
      return this.refuse({ type: 'Refused', message: 'another version of the gateway' });
    }
    this.#message = message;
    this.#options.presented(this, message);
  }

  #end(reason: CloseReason): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#greeting.cancel();
    this.#stream.end();
    for (const resolve of this.#holding.values()) resolve();
    const { gone } = this.#options;
    // Not at once: the relay may be in the middle of what led to this.
    queueMicrotask(() => {
      this.#close(reason);
      gone(this);
    });
  }

  #close(reason: CloseReason): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.closed(reason);
  }
}
