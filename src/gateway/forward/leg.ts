/** The way of a client's frames to its home, as long as that one is its home. */
import type { ClientHandler, ClientLink, ClientWork, CloseReason } from '../model.ts';
import type { ClientState, DeclaredSession, MovableHandler } from '../relay/setup/client-state.ts';
import type { Holding } from './messages.ts';
import type { ClientMove } from './observer.ts';

/** Why a leg ended. */
export interface LegEnd {
  readonly reason: ClientMove;
  /** As the beginning of a sentence for clients, such as `The home was lost`. */
  readonly what: string;
}

/** Takes the client's frames. */
export interface Leg extends ClientHandler {
  /** What the next home is to be told. */
  readonly state: ClientState;
  /** Whether the home can go on with what the client was in the middle of. */
  readonly takesOver: boolean;
  /** Says of a session what the client was in the middle of, before it attaches to that. */
  expect(session: DeclaredSession): void;
  /** Sends a request of the holder's own. It is not one of the client. */
  ask(body: string): void;
  /** The client is attached to the session at the home: what was said of it before is so no more. */
  restored(sessionId: string): void;
  /** The session cannot be had again. */
  forget(sessionId: string): void;
}

/** What a leg does with its client: as with a link, and two things more. */
export interface LegClient extends ClientLink {
  /** What is to wait from now on. */
  hold(what: Holding): void;
  /** The leg has ended, once and last, unless `closed` was called. */
  ended(end: LegEnd): void;
}

/** The leg of a client whose home this replica is. */
export class LocalLeg implements Leg {
  readonly takesOver = true;
  readonly #handler: MovableHandler;
  /** Those to which it is not attached again: what the relay knows of them is not all, if the home is lost now. */
  readonly #unrestored: Map<string, DeclaredSession>;

  /** `before`: what the client has declared at the home before. */
  constructor(handler: MovableHandler, before: ClientState) {
    this.#handler = handler;
    this.#unrestored = new Map(before.sessions.map((session) => [session.sessionId, session]));
  }

  get isBusy(): boolean {
    return this.#handler.isBusy;
  }

  get work(): ClientWork {
    return this.#handler.work;
  }

  get state(): ClientState {
    const { sessions, ...calls } = this.#handler.state;
    const own = sessions.filter(({ sessionId }) => !this.#unrestored.has(sessionId));
    return { ...calls, sessions: [...own, ...this.#unrestored.values()] };
  }

  frame(body: Buffer): void {
    this.#handler.frame(body);
  }

  drained(): void {
    this.#handler.drained();
  }

  closed(reason: CloseReason): void {
    this.#handler.closed(reason);
  }

  expect(session: DeclaredSession): void {
    this.#handler.expect(session);
  }

  ask(body: string): void {
    this.#handler.frame(Buffer.from(body));
  }

  restored(sessionId: string): void {
    this.#unrestored.delete(sessionId);
  }

  forget(sessionId: string): void {
    this.#unrestored.delete(sessionId);
  }
}
