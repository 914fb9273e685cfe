/** The events that the gateway itself makes: those that end the waits of SDKs for a turn that will not end by itself, and word of a place in a queue. */
import { formatNotification } from '../../../copilot/index.ts';

/** An event as the clients of a session get it. */
export interface MadeEvent {
  readonly type: string;
  /** Of its frame. */
  readonly body: string;
}

/** What events are made with. */
export interface EventMaker {
  readonly newId: () => string;
  readonly clock: { now(): number };
}

/** `session.error` and `session.idle`. `what` happened to the turn, as the beginning of a sentence. */
export function turnEnd(sessionId: string, what: string, maker: EventMaker): readonly MadeEvent[] {
  return ending(sessionId, `${what} in the middle of the turn; send the prompt again.`, maker);
}

/** The same of a session that was deleted. */
export function deletionEnd(sessionId: string, maker: EventMaker): readonly MadeEvent[] {
  return ending(sessionId, 'The session was deleted in the middle of the turn; make another one.', maker);
}

/** The same of a session that its client cannot use any more at all. `why`: the beginning of a sentence. */
export function sessionEnd(sessionId: string, why: string, maker: EventMaker): readonly MadeEvent[] {
  return ending(sessionId, `${why}. Resume the session, or make another one.`, maker);
}

function ending(sessionId: string, message: string, maker: EventMaker): readonly MadeEvent[] {
  return [made(sessionId, 'session.error', { errorType: 'gateway', message }, maker), idle(sessionId, maker)];
}

/** `session.idle`, of a turn whose server was lost before it told that. */
export function idle(sessionId: string, maker: EventMaker): MadeEvent {
  return made(sessionId, 'session.idle', {}, maker);
}

/** Of a prompt that waits for a turn, of which the server runs `max` at once: for the client that has sent it. */
export function turnQueued(
  sessionId: string,
  place: { readonly position: number; readonly count: number; readonly max: number },
  maker: EventMaker,
): MadeEvent {
  const { position, count, max } = place;
  const message = `The prompt waits for a turn: it is number ${position} of ${count}, and the server runs ${max} at once (spec.sessions.maxConcurrentTurns).`;
  return queued(sessionId, message, maker);
}

/** Of a prompt that waits for the turn of another user: for the client that has sent it. `holder`: the user; undefined: it is not known. */
export function promptQueued(
  sessionId: string,
  { place, count, holder }: { readonly place: number; readonly count: number; readonly holder: string | undefined },
  maker: EventMaker,
): MadeEvent {
  const turn = holder === undefined ? 'the turn that runs' : `the turn of ${holder}`;
  const message = `The prompt waits for ${turn}: it is number ${place} of ${count} (spec.collaboration.turns of the CopilotSession).`;
  return queued(sessionId, message, maker);
}

function queued(sessionId: string, message: string, maker: EventMaker): MadeEvent {
  return made(sessionId, 'session.info', { infoType: 'gateway_queue', message }, maker);
}

function made(sessionId: string, type: string, data: object, { newId, clock }: EventMaker): MadeEvent {
  const timestamp = new Date(clock.now()).toISOString();
  const event = { type, data, ephemeral: true, id: newId(), timestamp, parentId: null };
  return { type, body: formatNotification('session.event', { sessionId, event }) };
}
