/** What a home knows of a client, as the next home has to be told when the client goes on there. */
import type { RequestId } from '../../../copilot/index.ts';
import type { ClientHandler } from '../../model.ts';
import type { Declaration } from '../model.ts';
import type { OpenPrompt } from '../turns/prompts.ts';
import type { ReplayedCall } from './replay.ts';
import type { KnownEvent } from '../journal/trail.ts';

/** What a client was in the middle of in a session. */
export interface SessionCourse {
  /** The durable events that it got last, oldest first. */
  readonly trail: readonly KnownEvent[];
  /** Its prompts that have not come to their end, in the order in which they were sent. */
  readonly prompts: readonly OpenPrompt[];
  /** Ids of what it was asked by events and has not answered: it is not asked again. */
  readonly offered: readonly string[];
}

/** A session that the client is attached to. */
export interface DeclaredSession {
  readonly sessionId: string;
  /** What it declared when it attached. */
  readonly declaration: Declaration;
  /** What was changed since, by any client, in this order. */
  readonly calls: readonly ReplayedCall[];
  /** Whether more was changed than is kept: with these calls alone it might allow more than was decided. */
  readonly isIncomplete: boolean;
  /** How often that was, by which the home takes what is newer; undefined: that is not known. */
  readonly changes?: number | undefined;
  /** Whether it has had a turn: before that a server does not have it on disk. */
  readonly hadTurn: boolean;
  /** Whether a turn runs, or its prompt was taken. */
  readonly isRunning: boolean;
  readonly course: SessionCourse;
}

/** A call without an answer that comes to the same if it is made again. */
export interface RepeatableCall {
  readonly id: RequestId;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Everything that the client would miss. */
export interface ClientState {
  readonly sessions: readonly DeclaredSession[];
  /** Its calls without an answer, but for prompts that a session has. */
  readonly openCalls: readonly RequestId[];
  /** Calls that are made again at the next home. */
  readonly repeatable: readonly RepeatableCall[];
}

/** A handler whose client can go on at another home. */
export interface MovableHandler extends ClientHandler {
  readonly state: ClientState;
  /** The client is about to attach to this session, in which it was in the middle of something at the home before. */
  expect(session: DeclaredSession): void;
}
