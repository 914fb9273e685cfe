/** Takes what a server says over one connection: it is passed on at once, unless it may mean that the server is about to stop. */
import {
  EventRuns,
  ProtocolError,
  UnreachableError,
  messageOf,
  type CopilotError,
  type EventHead,
  type EventRun,
  type RunTaker,
} from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import type { Calls } from './calls.ts';
import { eventIn, isPiece } from '../journal/events.ts';
import { maySayStop, saysStop } from '../journal/facts.ts';
import { HeldBack } from './held-back.ts';
import type { RelayLimits, ServerAnswer } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import { copied, isStopping, mayBeStopping } from './server-answer.ts';
import { takeFrame, takeOversize, type FrameTakers } from './server-frames.ts';

/** Who gets what is not an answer. */
export interface ServerTakers {
  /** An event of a session. The bytes are valid only during the call. */
  readonly onEvent: FrameTakers['onEvent'];
  /** Who takes pieces of events of the session, many at a time; undefined: each is an event like any other. */
  readonly piecesOf: (sessionId: string) => RunTaker | undefined;
  /** Any other message that is not an answer. */
  readonly onMessage: FrameTakers['onMessage'];
}

export interface ServerIntakeOptions extends ServerTakers {
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  readonly limits: RelayLimits;
  readonly observer: RelayObserver;
  /** Who waits for answers. */
  readonly calls: Calls;
  /** The server has taken the `connect`: before that nothing that it says means that it stops. */
  readonly isOpen: () => boolean;
  /** Asks the server for a sign, and calls `fn` when it gives one. */
  readonly whenHeard: (fn: () => void) => void;
  /** With which messages begin. */
  readonly name: () => string;
  /** The connection is of no use any more. */
  readonly onLost: (error: CopilotError) => void;
}

/** Of one connection. */
export class ServerIntake {
  readonly #options: ServerIntakeOptions;
  readonly #takers: FrameTakers;
  /** What the server says while it may be about to stop. */
  readonly #heldBack: HeldBack;

  constructor(options: ServerIntakeOptions) {
    this.#options = options;
    const { clock, limits, calls, whenHeard, onEvent, onMessage } = options;
    this.#takers = {
      onEvent: (head, body) => this.#onEvent(head, body),
      onMessage,
      onAnswer: (id, answer) => this.#onAnswer(id, answer),
    };
    this.#heldBack = new HeldBack({
      clock,
      stopsMs: limits.stopsMs,
      maxBytes: limits.stopsBytes,
      whenHeard,
      event: (head, body) => this.#later(() => onEvent(head, body)),
      answer: (id, answer) => this.#later(() => calls.take(id, answer)),
    });
  }

  /** The body of a frame. @throws ProtocolError if it is no message */
  take(body: Buffer): void {
    this.#options.observer.serverReceived(body.length, 1);
    takeFrame(body, this.#takers);
  }

  /** The start of a frame that was skipped because it has `length` bytes. */
  takeOversize(start: Buffer, length: number): void {
    const { observer, limits } = this.#options;
    observer.serverOversize();
    takeOversize(start, length, limits.serverFrameBytes, this.#takers);
  }

  /** Reads whole frames with pieces of events, many at a time. */
  runs(): EventRuns {
    const { piecesOf, observer } = this.#options;
    let taker: RunTaker | undefined;
    const counted = {
      takeRun: (run: EventRun): void => {
        observer.serverReceived(run.bodyBytes, run.count);
        taker?.takeRun(run);
      },
    };
    const takerOf = (sessionId: string): RunTaker | undefined => {
      taker = this.#heldBack.keeps(sessionId) ? undefined : piecesOf(sessionId);
      return taker && counted;
    };
    return new EventRuns({ isPassed: isPiece, takerOf });
  }

  /** The server has unloaded the session. What it said of it, and was kept back, is told now. */
  releaseEvents(sessionId: string): void {
    this.#heldBack.flush(sessionId);
  }

  /** The session is forgotten, or goes on elsewhere. What the server said of it, and was kept back, is not told. */
  dropEvents(sessionId: string): void {
    this.#heldBack.drop(sessionId);
  }

  /** The connection has ended: what was kept back is for nobody. */
  close(): void {
    this.#heldBack.clear();
  }

  #onEvent(head: EventHead, body: Buffer): void {
    const { type } = head;
    const error = type === 'session.error' && this.#options.isOpen() ? eventIn(body).event : undefined;
    if (error !== undefined && saysStop(type, error)) this.#stops();
    else if (!this.#heldBack.takeEvent(head, body, error !== undefined && maySayStop(type, error)))
      this.#options.onEvent(head, body);
  }

  /** A server that stops is lost already: the call that says so, and all others, are answered by the next one. */
  #onAnswer(id: number, answer: ServerAnswer): void {
    const { calls, isOpen } = this.#options;
    // An id that is not open is a server's mistake that harms nobody.
    if (!calls.has(id)) return;
    if (isOpen() && isStopping(answer)) this.#stops();
    else if (isOpen() && mayBeStopping(answer)) this.#heldBack.takeAnswer(id, copied(answer));
    else calls.take(id, answer);
  }

  /** Takes what came a while ago: what cannot be read ends the connection then, as it does when it comes. */
  #later(take: () => void): void {
    const { name, onLost } = this.#options;
    try {
      take();
    } catch (error) {
      onLost(new ProtocolError(`${name()}: ${messageOf(error)}`, { cause: error }));
    }
  }

  #stops(): void {
    const { name, onLost } = this.#options;
    onLost(new UnreachableError(`${name()}: the server stops`));
  }
}
