/**
 * Keeps back what a server says while it may be about to stop: a server that takes itself apart fails turns and calls, with texts that it also has for
 * other failures. If it is lost, nobody hears of it, and the next server goes on; if not, it is told a moment later.
 */
import type { EventHead } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { isPiece } from '../journal/events.ts';
import type { ServerAnswer } from '../model.ts';
import { bytesOf } from './server-answer.ts';

export interface HeldBackOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  /** Ms in which a server that stops is gone, or answers nothing any more. */
  readonly stopsMs: number;
  /** Asks the server for a sign, and calls `fn` when it gives one. */
  readonly whenHeard: (fn: () => void) => void;
  /** Bytes that are kept, beyond which all goes on at once. */
  readonly maxBytes: number;
  readonly event: (head: EventHead, body: Buffer) => void;
  readonly answer: (id: number, answer: ServerAnswer) => void;
}

interface HeldEvent {
  readonly head: EventHead;
  readonly body: Buffer;
  /** When a server that stops would be gone, monotonic ms; undefined: it only follows one that may mean that. */
  readonly heldUntil: number | undefined;
}

/** Of one connection. */
export class HeldBack {
  readonly #options: HeldBackOptions;
  /** By session: the event that may say so, and all that follow. */
  readonly #events = new Map<string, HeldEvent[]>();
  /** By id. */
  readonly #answers = new Map<number, ServerAnswer>();
  readonly #timers = new Set<{ cancel(): void }>();
  #isCleared = false;
  #bytes = 0;

  constructor(options: HeldBackOptions) {
    this.#options = options;
  }

  /** Keeps an event that `mayMeanStop`, or that follows one; pieces are left out. Returns whether it did; the bytes are copied. */
  takeEvent(head: EventHead, body: Buffer, mayMeanStop: boolean): boolean {
    const { sessionId } = head;
    const held = this.#events.get(sessionId);
    if (held === undefined && !mayMeanStop) return false;
    if (isPiece(head.type)) return true;
    const { clock, stopsMs } = this.#options;
    const heldUntil = mayMeanStop ? clock.monotonic() + stopsMs : undefined;
    const event = { head, body: Buffer.from(body), heldUntil };
    if (held !== undefined) held.push(event);
    else {
      this.#events.set(sessionId, [event]);
      this.#later(stopsMs, (now) => this.#release(sessionId, now));
    }
    this.#keep(body.length);
    return true;
  }

  /** Whether events of the session are kept, which others must not overtake. */
  keeps(sessionId: string): boolean {
    return this.#events.has(sessionId);
  }

  /** Keeps an answer, whose bytes must stay valid. */
  takeAnswer(id: number, answer: ServerAnswer): void {
    if (this.#answers.has(id)) return;
    this.#answers.set(id, answer);
    this.#later(this.#options.stopsMs, () => this.#releaseAnswer(id));
    this.#keep(bytesOf(answer));
  }

  /** The server has unloaded the session: what it said before is told before anything of its next load. */
  flush(sessionId: string): void {
    this.#release(sessionId, Infinity);
  }

  /** The session is forgotten, or goes on elsewhere: nobody hears of its events. */
  drop(sessionId: string): void {
    const held = this.#events.get(sessionId)?.splice(0) ?? [];
    for (const { body } of held) this.#bytes -= body.length;
    this.#events.delete(sessionId);
  }

  /** The connection is lost: the calls are answered as all others, and what the journal has of the events is read there. */
  clear(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#isCleared = true;
    for (const held of this.#events.values()) held.length = 0;
    this.#events.clear();
    this.#answers.clear();
    this.#bytes = 0;
  }

  /** A server that says so much is not about to stop, or says too much for it. */
  #keep(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#options.maxBytes) return;
    for (const sessionId of this.#events.keys()) this.#release(sessionId, Infinity);
    for (const id of this.#answers.keys()) this.#releaseAnswer(id);
  }

  /** Passes on those that may go now: the server may be about to stop again, or only now. */
  #release(sessionId: string, now: number): void {
    const held = this.#events.get(sessionId) ?? [];
    // The connection may be lost by an event, and what followed it with it.
    for (let [next] = held; next !== undefined; [next] = held) {
      const waitMs = (next.heldUntil ?? now) - now;
      if (waitMs > 0) return this.#later(waitMs, (then) => this.#release(sessionId, then));
      held.shift();
      this.#bytes -= next.body.length;
      this.#options.event(next.head, next.body);
    }
    this.#events.delete(sessionId);
  }

  #releaseAnswer(id: number): void {
    const answer = this.#answers.get(id);
    if (answer === undefined) return;
    this.#answers.delete(id);
    this.#bytes -= bytesOf(answer);
    this.#options.answer(id, answer);
  }

  /** A server that stops may need far longer on a busy machine, but early on it answers nothing any more: one that does is there to stay. */
  #later(ms: number, fn: (now: number) => void): void {
    const { clock, whenHeard } = this.#options;
    const timer = clock.setTimer(ms, () => {
      this.#timers.delete(timer);
      const now = clock.monotonic();
      whenHeard(() => {
        if (!this.#isCleared) fn(now);
      });
    });
    this.#timers.add(timer);
  }
}
