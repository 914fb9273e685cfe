/** Reads the events of one session: what each says of turns, prompts and questions, and whom it is for. */
import type { EventRun } from '../../../copilot/index.ts';
import type { Aliases } from './aliases.ts';
import type { Delivery, KeptEvent } from './delivery.ts';
import { isOfProcess, isPiece, isTracked } from '../journal/events.ts';
import { notificationOf, type DurableEvent } from '../journal/journal-end.ts';
import type { SessionClient } from '../model.ts';
import type { Prompts } from '../turns/prompts.ts';
import { seenEvent } from '../journal/seen-event.ts';
import type { Trail } from '../journal/trail.ts';
import type { Waits } from '../asking/waits.ts';

export interface SessionEventsOptions {
  readonly id: string;
  readonly trail: Trail;
  readonly aliases: Aliases;
  readonly delivery: Delivery;
  readonly prompts: Prompts;
  readonly waits: Waits;
  /** A turn runs. `by`: the event that says so, if it is in the journal. */
  readonly onStarted: (by: string | undefined) => void;
  /** The turn that runs is being aborted. */
  readonly onAborted: () => void;
  /** The server has nothing to do. Its clients are to be told. */
  readonly onIdle: (event: KeptEvent) => void;
  /** The server says that it unloads the session. */
  readonly onShutdown: (event: KeptEvent) => void;
  /** What the session waits for may have changed. */
  readonly onQuestion: () => void;
}

/** An event that waits; its bytes stay valid. */
interface HeldEvent {
  readonly type: string;
  readonly body: Buffer;
}

/** Of one session. */
export class SessionEvents {
  /** Bytes of all that have come. */
  bytes = 0;
  readonly #options: SessionEventsOptions;
  /** Events since the server was lost, until its clients have got those of the journal; undefined: they pass. */
  #held: HeldEvent[] | undefined;

  constructor(options: SessionEventsOptions) {
    this.#options = options;
  }

  /** Bytes of those that wait. */
  get heldBytes(): number {
    return (this.#held ?? []).reduce((sum, { body }) => sum + body.length, 0);
  }

  /** Whether pieces of events pass unread. */
  get passesPieces(): boolean {
    return this.#held === undefined && this.#options.aliases.isEmpty;
  }

  /** Passes an event to whom it is for. @throws ProtocolError if it cannot be read */
  take(type: string, body: Buffer): void {
    this.bytes += body.length;
    if (this.#held === undefined) return this.#pass(type, body);
    if (isPiece(type)) return;
    // One that cannot be read is the server's fault now, and nobody's later.
    seenEvent(this.#options.id, type, body);
    this.#held.push({ type, body: Buffer.from(body) });
  }

  /** Passes pieces of events to all. */
  takeRun(run: EventRun): void {
    this.bytes += run.bodyBytes;
    this.#options.delivery.piecesToAll(run);
  }

  /** Events wait from now on until {@link caughtUp}: they may have ids that clients do not know. */
  hold(): void {
    this.#held ??= [];
  }

  /** The server is lost: the same, and what has waited is for nobody. */
  lost(): void {
    this.#held = [];
  }

  /** What has waited is for nobody, and nothing waits any more. */
  drop(): void {
    this.#held = undefined;
  }

  /** The server has taken a prompt behind a turn. If the end of that waits, it is for nobody: that of the prompt follows, which ends both. */
  dropIdle(): void {
    const begun = this.#held?.findIndex(({ type }) => type === 'user.message') ?? -1;
    this.#held = this.#held?.filter(({ type }, at) => type !== 'session.idle' || (begun >= 0 && at > begun));
  }

  /** The server loads the session once more: what it told of the first time is for nobody, and what counts of it is in the journal. */
  dropHeld(): void {
    this.#held = this.#held?.slice(0, 0);
  }

  /** Clients get a question that they have got, because the answer to it is lost. */
  askAgain(asked: DurableEvent, data: Readonly<Record<string, unknown>>): void {
    const { id, type } = asked;
    this.#passQuestion({ type, body: notificationOf(this.#options.id, asked), id }, data);
  }

  /**
   * Its clients get those of these events that they have not got, and then what came meanwhile. Returns whether that has the end of a turn, and
   * no begin of another one after it.
   */
  caughtUp(events: readonly DurableEvent[]): boolean {
    const held = this.#held ?? [];
    this.#held = undefined;
    const { id } = this.#options;
    for (const event of events) if (!isOfProcess(event.type)) this.#pass(event.type, notificationOf(id, event));
    let hasEnded = false;
    for (const { type, body } of held) {
      this.#pass(type, body);
      hasEnded = type === 'session.idle' || (hasEnded && type !== 'user.message' && type !== 'assistant.turn_start');
    }
    return hasEnded;
  }

  #pass(type: string, given: Buffer): void {
    const { aliases, trail, prompts, delivery, onStarted, onIdle, onShutdown } = this.#options;
    const body = aliases.isEmpty ? given : aliases.applied(given);
    const { id, fact, data } = seenEvent(this.#options.id, type, body);
    if (id !== undefined) {
      // The server tells it, and it is in the journal that was read just now.
      if (trail.has(id)) return;
      trail.add(id, fact);
    }
    const event = { type, body, id };
    if (type === 'session.idle') return onIdle(event);
    if (type === 'session.shutdown') return onShutdown(event);
    if (type === 'user.message' || type === 'assistant.turn_start') onStarted(id);
    if (type === 'user.message' && typeof data['messageId'] === 'string') {
      prompts.seen(data['messageId'], trail.position);
    }
    if (type === 'abort') this.#options.onAborted();
    if (isTracked(type)) this.#passQuestion(event, data);
    else delivery.toAll(event);
  }

  /** The event may ask something, or say that this was answered. */
  #passQuestion(event: KeptEvent & { readonly body: Buffer }, data: Readonly<Record<string, unknown>>): void {
    const { waits, delivery, onQuestion } = this.#options;
    const only: SessionClient | 'Nobody' | undefined = waits.take(event.type, data, event.body);
    onQuestion();
    if (only === undefined) delivery.toAll(event, (client) => waits.isFor(data['requestId'], client));
    else if (only !== 'Nobody') delivery.to(only, event);
  }
}
