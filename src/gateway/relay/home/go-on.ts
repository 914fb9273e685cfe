/** Has a session go on here that another home served, when a client attaches. */
import { UnreachableError, type CopilotError } from '../../../copilot/index.ts';
import type { SessionModel } from '../../model.ts';
import type { DeclaredSession } from '../setup/client-state.ts';
import { boundTo } from '../failover/failover.ts';
import type { Home } from './home.ts';
import type { ServerAnswer, SessionClient } from '../model.ts';
import type { OpenPrompt } from '../turns/prompts.ts';
import { loadFailure, lost } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import { isForTurnOnly, pickUp, takeOver, takeRules, type TakenClient } from './take-over.ts';

/** A client that goes on here, and what it must be told of its prompts. */
export interface AttachTaken extends Omit<TakenClient, 'client' | 'before' | 'failed'> {
  /** What is left to go on with. */
  before: DeclaredSession;
  /** Before the answer to the attach: these prompts are to be sent as new ones after it. */
  readonly unsent: (prompts: readonly OpenPrompt[]) => void;
}

/** Has the client go on with what it was in the middle of, at the server that there was after so many losses. Returns why the session must not be used. */
export async function goOn(
  home: Home,
  session: Session,
  client: SessionClient,
  taken: AttachTaken,
  model: SessionModel | undefined,
  losses: number,
): Promise<ServerAnswer | undefined> {
  const { before, answered, unsent } = taken;
  const failed = (left: DeclaredSession): void => void (taken.before = left);
  const loading = boundTo(home.upstream, losses, home.loading);
  try {
    await takeRules(session, before, loading, model);
  } catch (error) {
    return loadFailure(error) ?? lost(error as CopilotError, true);
  }
  try {
    const found = await takeOver(session, { client, before, answered, failed }, loading);
    unsent(found.unsent);
    home.tookOver(session, found.recovered);
  } catch (error) {
    if (!isForTurnOnly(error)) return lost(error as CopilotError, true);
    home.calls.failed('session.resume', error);
    const { prompts } = taken.before.course;
    for (const { callId } of prompts) {
      if (callId !== undefined) answered(callId, lost(new UnreachableError('the turn was cut'), true));
    }
    session.delivery.release(client);
    session.finish(undefined);
    const waits = before.isRunning || prompts.some(({ isAcknowledged }) => isAcknowledged);
    if (waits) home.endTurnFor(client, session.id, 'The replica of the gateway that served it was lost');
  }
  return undefined;
}

/** The same with a turn that another home has left, whose clients are gone. */
export async function goOnAlone(home: Home, session: Session, losses: number): Promise<ServerAnswer | undefined> {
  const loading = boundTo(home.upstream, losses, home.loading);
  try {
    home.tookOver(session, await pickUp(session, loading, (at) => home.time.mayBeOfAnother(at)));
  } catch (error) {
    if (!isForTurnOnly(error)) return lost(error as CopilotError, true);
    // Its client finds in the history how far it came.
    home.calls.failed('session.resume', error);
    session.finish(undefined);
  }
  return undefined;
}
