/** What a client takes along when its home is given up. */
import type { MethodRewrite } from '../../model.ts';
import type { ClientState, DeclaredSession, RepeatableCall } from '../setup/client-state.ts';
import { sessionIdOf, type SessionClient } from '../model.ts';
import { waitingPrompt } from '../turns/prompts.ts';
import type { Session } from '../session/session.ts';

/** A call that is not answered. */
export interface OpenRequest extends RepeatableCall {
  readonly isRepeatable: boolean | undefined;
}

/** The state of a client with these sessions and calls. */
export function stateOf(
  client: SessionClient,
  attached: Iterable<Session>,
  requests: readonly OpenRequest[],
  rewriteOf: (method: string) => MethodRewrite | undefined,
): ClientState {
  const prompts = requests.filter(({ method }) => rewriteOf(method) === 'send');
  const sessions = [...attached].flatMap((session) => declaredIn(session, client, prompts));
  // What became of an attach the next home finds out by the id that the client has chosen.
  const isAgain = ({ method, params, isRepeatable }: OpenRequest) =>
    isRepeatable === true || (rewriteOf(method) === 'attach' && (sessionIdOf(params) ?? '') !== '');
  const going = new Set(sessions.flatMap(({ course }) => course.prompts.map(({ callId }) => callId)));
  const open = requests.filter(({ id }) => !going.has(id));
  return {
    sessions,
    openCalls: open.filter((request) => !isAgain(request)).map(({ id }) => id),
    repeatable: open.filter(isAgain).map(({ id, method, params }) => ({ id, method, params })),
  };
}

function declaredIn(session: Session, client: SessionClient, open: readonly OpenRequest[]): DeclaredSession[] {
  const declaration = session.attached.declarationOf(client);
  if (declaration === undefined) return [];
  const { id: sessionId, replay, changes, hadTurn, turn, trail } = session;
  const known = session.courseOf(client);
  const sent = new Set(known.prompts.map(({ callId }) => callId));
  // What waits for another client's turn.
  const waiting = open
    .filter(({ id, params }) => sessionIdOf(params) === sessionId && !sent.has(id))
    .map(({ id, method, params }) => waitingPrompt(id, method, params, trail.position));
  const course = { ...known, prompts: [...known.prompts, ...waiting] };
  const { calls, overflowed: isIncomplete } = replay;
  return [{ sessionId, declaration, calls, isIncomplete, changes, hadTurn, isRunning: turn.isTaken, course }];
}
