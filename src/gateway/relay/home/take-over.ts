/** Has a session go on that another home served, which died or was given up: its journal and its clients know all that is needed (docs/adr/0045-a-home-dies.md). */
import { RpcError, type RequestId } from '../../../copilot/index.ts';
import type { SessionModel } from '../../model.ts';
import { isTold } from './catch-up.ts';
import type { DeclaredSession, SessionCourse } from '../setup/client-state.ts';
import { factOf, saysStop } from '../journal/facts.ts';
import { findQuestions } from '../journal/find-questions.ts';
import { notificationOf, readJournalEnd, type DurableEvent, type JournalEnd } from '../journal/journal-end.ts';
import { tellAgain, type Loading } from '../failover/loading.ts';
import { NotRestoredError, type ServerAnswer, type SessionClient } from '../model.ts';
import type { OpenPrompt, Prompt } from '../turns/prompts.ts';
import {
  askAgain,
  beginAgain,
  cutTurn,
  found,
  isActive,
  nameAsKnown,
  openQuestions,
  sendAgain,
  type Recovered,
} from '../failover/recover-turn.ts';
import { planRecovery } from '../journal/recovery.ts';
import type { Session } from '../session/session.ts';
import { Trail, type TrailEntry } from '../journal/trail.ts';

/** A client that the home before had attached. */
export interface TakenClient {
  readonly client: SessionClient;
  readonly before: DeclaredSession;
  /** Takes the answer to a prompt that the home before had got, and had not answered. */
  readonly answered: (callId: RequestId, answer: ServerAnswer) => void;
  /** It comes to nothing: what the client was told and answered until then counts, and this is left of what it was in the middle of. */
  readonly failed: (left: DeclaredSession) => void;
}

/** What became of its turn, and its prompts that the server certainly has not got: they are to be sent as new ones, in this order. */
export interface TakenOver {
  readonly recovered: Recovered;
  readonly unsent: readonly OpenPrompt[];
}

/**
 * Has the server follow the rules that were set at the home before, unless it follows some that are as new. To be called when it has loaded
 * the session, and before anybody uses it.
 * @throws NotRestoredError without one that restricts, RpcError, CopilotError
 */
export async function takeRules(
  session: Session,
  { calls, changes = 0 }: DeclaredSession,
  loading: Loading,
  model: SessionModel | undefined,
): Promise<void> {
  // A holder that has missed the last ones must not undo them.
  if (session.load.loads > 0 && !session.lacksRules && changes <= session.changes) return;
  const known = new Set(session.replay.calls.map(textOf));
  for (const call of calls) {
    if (session.load.loads > 0 && known.has(textOf(call))) continue;
    await tellAgain(session.id, loading, call, model);
    session.replay.keep(call.method, call.params, {});
  }
  session.lacksRules = false;
  session.changes = Math.max(session.changes, changes);
}

function textOf({ method, params }: { readonly method: string; readonly params: object }): string {
  return `${method} ${JSON.stringify(params)}`;
}

/**
 * Goes on with what the client was in the middle of, which must be attached. It gets what it has missed, once and in order.
 * @throws NotRestoredError or RpcError if its turn cannot go on; CopilotError if the server is lost: it is to be called again
 */
export async function takeOver(session: Session, taken: TakenClient, loading: Loading): Promise<TakenOver> {
  const { client, before } = taken;
  const { isRunning } = before;
  const trail = new Trail(before.course.trail);
  const end = await readJournalEnd(loading.call, session.id, ({ id }) => trail.has(id));
  const course = await withoutLost(session, before.course, trail, loading.call);
  const hasActiveWork = await isActive(loading.call, session.id);
  if (hasActiveWork) await findWaits(session, loading.call, end.events);
  const { turn } = session;
  const isInTurn = isRunning || course.prompts.length > 0 || turn.isRunning;
  const missed = end.known !== undefined || isInTurn ? missedEvents(end, turn.start) : [];
  // A client whose connection to this home was half open: its prompts have never left.
  const here = course.prompts.filter((open) => isHere(session, open, taken));
  const others = course.prompts.filter((open) => !here.includes(open));
  const adopted = others.map((open) => adopt(session, open, taken));
  const cut = cutTurn(trail, adopted, end, hasActiveWork);
  try {
    const plan = planRecovery(cut);
    if (session.load.loads === 0) session.trail.learn(trail.known, end.events.map(factedEvent));
    for (const prompt of adopted) place(prompt, session.trail, trail);
    for (const [index, prompt] of adopted.entries()) nameAsKnown(session, prompt, plan.found[index] ?? []);
    tell(session, client, missed);
    const unsent: OpenPrompt[] = [];
    const again: (readonly [Prompt, readonly (string | undefined)[]])[] = [];
    for (const [index, prompt] of adopted.entries()) {
      const ids = plan.found[index] ?? [];
      if (!ids.includes(undefined)) found(session, prompt, ids);
      else if (prompt.acknowledgedAt !== undefined || ids.some((id) => id !== undefined)) again.push([prompt, ids]);
      else {
        session.prompts.drop(prompt);
        unsent.push(others[index] as OpenPrompt);
      }
    }
    const isOwn = here.length + adopted.length > unsent.length;
    const begins = plan.runs && !session.turn.isRunning && (isRunning || isOwn);
    // It may have come to its end since the server was asked.
    const hasEnded = session.delivery.keeps(client, 'session.idle');
    const goesOn = begins || (hasActiveWork && !hasEnded);
    if (goesOn) session.goesOn(isOwn ? client : undefined, lastPromptOf(end, trail));
    // Whether a turn comes of what is sent again the server says: it may be a command.
    else if (again.length > 0) session.turn.take(client);
    if (begins) await beginAgain(session, loading);
    for (const [prompt, ids] of again) await sendAgain(session, prompt, ids, loading);
    session.delivery.release(
      client,
      ({ id }) => id !== undefined && (trail.has(id) || missed.some((m) => m.id === id)),
    );
    const isOver = !session.turn.isRunning && (again.length === 0 || !session.turn.isTaken);
    if (isOver) session.prompts.finished(session.now);
    // A prompt that is sent now has its own end, which is that of this turn for its client, too.
    if (isOver && (isRunning || isOwn) && !hasEnded && unsent.length === 0) {
      const { type, body } = loading.idle(session.id);
      client.deliver(body, type);
    }
    session.offer(client, course.offered);
    const recovered = again.length > 0 ? 'SentAgain' : begins ? 'Continued' : goesOn ? 'Running' : 'Finished';
    return { recovered: isRunning || isOwn ? recovered : 'Idle', unsent };
  } catch (error) {
    for (const { id, fact } of missed.map(factedEvent)) trail.add(id, fact);
    const promptOf = (open: OpenPrompt) => adopted[others.indexOf(open)] ?? session.prompts.find(open, client.id);
    const prompts = course.prompts.map((open) => leftOf(open, promptOf(open), cut.lastKept));
    taken.failed({ ...before, course: { ...course, trail: trail.known, prompts } });
    for (const prompt of adopted) session.prompts.drop(prompt);
    throw error;
  }
}

/** What is left of a prompt: one that was acknowledged meanwhile has its ids, and no call that waits. Its places are those of its client's trail. */
function leftOf(open: OpenPrompt, prompt: Prompt | undefined, lastKept: number): OpenPrompt {
  const isAcknowledged = prompt?.acknowledgedAt !== undefined;
  const messages = open.messages.map(({ seenAt, ...message }, index) => ({
    ...message,
    ids: isAcknowledged ? [...(prompt.messages[index]?.ids ?? [])] : message.ids,
    ...(seenAt !== undefined && seenAt <= lastKept && { seenAt }),
  }));
  const { callId, ...rest } = open;
  if (isAcknowledged) return { ...rest, messages, isAcknowledged };
  return { ...rest, messages, ...(callId !== undefined && { callId }) };
}

/**
 * Without what the client has seen of the begin of its prompts where a server that was lost had not written it: what came after that is in the journal, so
 * its place does not show it.
 */
async function withoutLost(
  { id: sessionId }: Session,
  course: SessionCourse,
  trail: Trail,
  call: Loading['call'],
): Promise<SessionCourse> {
  const messages = course.prompts.flatMap((open) => open.messages);
  const places = new Set(messages.map(({ seenAt }) => seenAt));
  const ids = new Set(messages.flatMap((message) => message.ids));
  // One that was sent again has begun more than once.
  const isBegin = ({ position, fact }: TrailEntry): boolean =>
    places.has(position) || (fact?.kind === 'Prompt' && ids.has(fact.messageId));
  const missing = new Map(trail.known.filter(isBegin).map(({ id, position }) => [id, position]));
  if (missing.size === 0) return course;
  const first = Math.min(...missing.values());
  await readJournalEnd(call, sessionId, ({ id }) => {
    missing.delete(id);
    return missing.size === 0 || (trail.has(id) && trail.positionOf(id) < first);
  });
  for (const id of missing.keys()) trail.forget(id);
  const lost = new Set(missing.values());
  const prompts = course.prompts.map((open) => ({
    ...open,
    messages: open.messages.map(({ seenAt, ...message }) => ({
      ...message,
      ...(seenAt !== undefined && !lost.has(seenAt) && { seenAt }),
    })),
  }));
  return { ...course, prompts };
}

/** Whether the server has got the prompt from this home, which is to answer it. */
function isHere(session: Session, open: OpenPrompt, { client, answered }: TakenClient): boolean {
  const { callId } = open;
  const prompt = session.prompts.find(open, client.id);
  if (prompt === undefined) return false;
  if (callId === undefined) return true;
  const answer = (given: ServerAnswer): void => answered(callId, given);
  if (prompt.acknowledgedAt === undefined) prompt.heir = answer;
  else {
    prompt.waiting = answer;
    found(session, prompt, []);
  }
  return true;
}

function adopt({ prompts, now }: Session, open: OpenPrompt, { client, answered }: TakenClient): Prompt {
  const { callId } = open;
  const prompt = prompts.adopt(open, now, { client, id: callId });
  if (callId !== undefined) prompt.waiting = (answer) => answered(callId, answer);
  return prompt;
}

/**
 * Goes on with the turn of a session of which no client is left that the home before had, for one that comes anew. What its clients had
 * changed of rules is known to nobody, so it is asked whatever the session allowed by itself.
 * @throws RpcError, CopilotError, NotRestoredError
 */
export async function pickUp(
  session: Session,
  loading: Loading,
  isRecent: (at: string) => boolean,
): Promise<Recovered> {
  const { call } = loading;
  const end = await readJournalEnd(call, session.id, isPrompt);
  const hasActiveWork = await isActive(call, session.id);
  const events = [...(end.known === undefined ? [] : [end.known]), ...end.events];
  const trail = new Trail();
  trail.learn([], events.map(factedEvent));
  session.trail.learn(trail.known, []);
  if (hasActiveWork) {
    await askAgain(session.id, call);
    await findWaits(session, call, events);
    session.goesOn(undefined, end.known?.id);
    return 'Running';
  }
  const { runs } = planRecovery(cutTurn(trail, [], { events: [], known: events.at(-1) }, false));
  const last = events.findLast(isTold)?.event['timestamp'];
  if (!runs || typeof last !== 'string' || !isRecent(last)) return 'Idle';
  await askAgain(session.id, call);
  session.goesOn(undefined, end.known?.id);
  await beginAgain(session, loading);
  return 'Continued';
}

/** Finds the events by which the server has asked what it waits for. A client that has them already may be about to come. */
async function findWaits(session: Session, call: Loading['call'], events: readonly DurableEvent[]): Promise<void> {
  const { waits } = session.questions;
  const missing = await openQuestions(call, session.id);
  for (const id of missing) if (waits.has(id)) missing.delete(id);
  await findQuestions(call, session.id, missing, events, (asked, data) =>
    waits.reserve(asked.type, data, notificationOf(session.id, asked)),
  );
  session.questions.reserve();
}

/** Those that a client is told; where it is not known which it has got, those since the turn began here, or since the last prompt. */
function missedEvents({ events, known }: JournalEnd, start: string | undefined): readonly DurableEvent[] {
  const begun = events.findIndex(({ id }) => id === start);
  const last = begun < 0 ? events.findLastIndex(isPrompt) : begun;
  const since = known === undefined ? last : 0;
  return events.slice(Math.max(0, since)).filter((event) => isTold(event) && !saysStop(event.type, event.event));
}

function tell({ id, aliases }: Session, client: SessionClient, events: readonly DurableEvent[]): void {
  for (const event of events) client.deliver(aliases.applied(notificationOf(id, event)), event.type);
}

function isPrompt({ type, event }: DurableEvent): boolean {
  return factOf(type, event)?.kind === 'Prompt';
}

function factedEvent({ id, type, event }: DurableEvent) {
  return { id, fact: factOf(type, event) };
}

/** The event by which the turn began. */
function lastPromptOf({ events }: JournalEnd, trail: Trail): string | undefined {
  return events.findLast(isPrompt)?.id ?? trail.known.findLast(({ fact }) => fact?.kind === 'Prompt')?.id;
}

/** Puts a prompt, whose places are those of its client's trail, into that of the session. */
function place({ messages }: Prompt, trail: Trail, own: Trail): void {
  const placeOf = (at: number) => trail.positionOf(own.idAt(at));
  for (const message of messages) {
    message.sentAt = placeOf(message.sentAt);
    if (message.seenAt !== undefined) message.seenAt = placeOf(message.seenAt);
    if (message.unansweredSince !== undefined) message.unansweredSince = message.sentAt;
  }
}

/** Whether the turn cannot go on, but the session can be used. */
export function isForTurnOnly(error: unknown): boolean {
  return error instanceof NotRestoredError || error instanceof RpcError;
}
