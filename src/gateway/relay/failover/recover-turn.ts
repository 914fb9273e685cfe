/** Has the turn of a session go on at the server that has loaded it from its journal, after the one that ran it was lost. */
import { formatAnswer, isObject } from '../../../copilot/index.ts';
import { NotRestoredError, isServerId, type ServerAnswer } from '../model.ts';
import { factOf } from '../journal/facts.ts';
import { findQuestions } from '../journal/find-questions.ts';
import { readJournalEnd, type DurableEvent, type JournalEnd } from '../journal/journal-end.ts';
import { answerWaiting, type Prompt } from '../turns/prompts.ts';
import { planRecovery, type CutTurn, type JournalFact, type RecoveryPlan } from '../journal/recovery.ts';
import { answerOf, isResult, resultFields } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { Trail } from '../journal/trail.ts';
import type { MadeEvent } from '../turns/turn-end.ts';

/** What became of it: there was no turn; it is over; it runs on by itself, or was begun again; or a prompt had to be sent again. */
export type Recovered = 'Idle' | 'Finished' | 'Running' | 'Continued' | 'SentAgain';

/** What a turn is recovered with. */
export interface Recovering {
  /** @throws RpcError, CopilotError */
  readonly call: (method: string, params: object) => Promise<unknown>;
  /** The same, with the answer as it is. */
  readonly request: (method: string, params: object) => Promise<ServerAnswer>;
  /** The event that ends the turn for its clients. */
  readonly idle: (sessionId: string) => MadeEvent;
}

const PERMISSIONS = 'session.permissions.pendingRequests';
const TOOLS = 'session.tools.listPendingRequests';

/**
 * The server must have loaded the session, and clients must not be able to call it yet.
 * @throws RpcError, CopilotError, or NotRestoredError if a prompt is lost
 */
export async function recoverTurn(session: Session, recovering: Recovering): Promise<Recovered> {
  if (!hasCutTurn(session)) return 'Idle';
  const { call } = recovering;
  const { id: sessionId, trail } = session;
  const [end, hasActiveWork] = await Promise.all([
    readJournalEnd(call, sessionId, ({ id: known }) => trail.has(known)),
    isActive(call, sessionId),
  ]);
  const unknown = await resumeWaits(session, call, hasActiveWork);
  const { wasTaken } = session;
  const prompts = session.prompts.cut;
  const cut = { ...cutTurn(trail, prompts, end, hasActiveWork), wasAborted: session.turn.isAborted };
  const plan = planRecovery(cut);
  const missed = missedBy(end, prompts, plan);
  // If the next server is lost as well, its journal may reach beyond that place with other events.
  session.prompts.unseenAfter(cut.lastKept);
  for (const [index, prompt] of prompts.entries()) nameAsKnown(session, prompt, plan.found[index] ?? []);
  const hasEnded = session.events.caughtUp(missed);
  for (const [index, prompt] of prompts.entries()) found(session, prompt, plan.found[index] ?? []);
  if (plan.isOver) {
    // A prompt that waits for the session, or for a turn of the server, begins the next one, whose end is that of this one, too.
    const isNextToCome = session.prompts.areOnTheWay || session.turn.isAwaited;
    // Its clients have got the end that the server told meanwhile.
    if (wasTaken) session.finish(isNextToCome || hasEnded ? undefined : recovering.idle(sessionId));
    return wasTaken ? 'Finished' : 'Idle';
  }
  // Also what was over for its clients ends when this does.
  for (const prompt of prompts) prompt.finishedAt = undefined;
  const isSentAgain = plan.found.flat().includes(undefined);
  // It ran on while its journal was read, and its end was told just now.
  if (hasEnded && hasActiveWork && !isSentAgain) {
    session.finish(undefined);
    return 'Finished';
  }
  // Clients that send something meanwhile wait for its end.
  session.turn.runsOn();
  await findQuestions(call, sessionId, unknown, end.events, (asked, data) => {
    if (!session.questions.waits.has(String(data['requestId']))) session.events.askAgain(asked, data);
  });
  // The end of what is begun again is not the end of what is sent behind it.
  if (isSentAgain) session.events.hold();
  if (plan.runs) await beginAgain(session, recovering);
  for (const [index, prompt] of prompts.entries()) {
    const ids = plan.found[index] ?? [];
    if (ids.includes(undefined)) await sendAgain(session, prompt, ids, recovering);
  }
  if (isSentAgain) return 'SentAgain';
  return plan.runs ? 'Continued' : 'Running';
}

/** Whether its server was lost in the middle of something. One that has unloaded a session by itself has cut nothing. */
export function hasCutTurn({ isLost, isCut, questions }: Session): boolean {
  return isLost && (isCut || questions.size > 0);
}

/** Those events of the journal that its clients have not got. */
function missedBy(
  { events, known }: JournalEnd,
  prompts: readonly Prompt[],
  plan: RecoveryPlan,
): readonly DurableEvent[] {
  if (known !== undefined) return events;
  // Without a known event that is not known, but for a prompt which they have not seen, and what is behind it.
  const unseen = new Set(
    prompts.flatMap(({ messages }, row) =>
      messages.flatMap(({ seenAt }, index) => (seenAt === undefined ? (plan.found[row]?.[index] ?? []) : [])),
    ),
  );
  const isUnseen = ({ type, event }: DurableEvent): boolean => {
    const fact = factOf(type, event);
    return fact?.kind === 'Prompt' && unseen.has(fact.messageId);
  };
  const at = events.findIndex(isUnseen);
  return at < 0 ? [] : events.slice(at);
}

/** @throws NotRestoredError if the server refuses it: no end would come of it */
export async function beginAgain({ id: sessionId }: Session, recovering: Recovering): Promise<void> {
  const answer = await request(recovering, 'session.sendMessages', { sessionId, messages: [] });
  if (!isResult(answer)) throw new NotRestoredError('the server refused to go on with its turn');
}

/** What the journal says of prompts, of which `trail` has what their clients have seen. */
export function cutTurn(
  trail: Trail,
  prompts: readonly Prompt[],
  { events, known }: JournalEnd,
  hasActiveWork: boolean,
): CutTurn {
  const { kept, lost } = trail.cutAfter(known?.id);
  const before = kept.flatMap(({ position, fact }): JournalFact[] => (fact === undefined ? [] : [{ position, fact }]));
  const after = events.flatMap(({ type, event }): JournalFact[] => {
    const fact = factOf(type, event);
    return fact === undefined ? [] : [{ position: undefined, fact }];
  });
  // Where nothing is known, a prompt of the past may have the same text.
  const since = known === undefined ? after.findLastIndex(({ fact }) => fact.kind === 'Prompt') : 0;
  return {
    prompts: prompts.map(({ messages }) => messages),
    journal: [...before, ...after.slice(Math.max(0, since))],
    lastKept: kept.at(-1)?.position ?? 0,
    lost: lost.flatMap(({ fact }) => fact ?? []),
    hasActiveWork,
  };
}

export async function isActive(call: Recovering['call'], sessionId: string): Promise<boolean> {
  const activity = await call('session.metadata.activity', { sessionId });
  return isObject(activity) && activity['hasActiveWork'] === true;
}

/**
 * What the server has kept of what it waited for is valid under the same id, and may have been answered already. Everything else was lost
 * with its process. Returns the ids of what it waits for although it was answered, and the answer is not known any more.
 */
async function resumeWaits(session: Session, call: Recovering['call'], hasActiveWork: boolean): Promise<Set<string>> {
  const open = hasActiveWork ? await openQuestions(call, session.id) : new Set<string>();
  const unknown = new Set(open);
  for (const requestId of open) {
    const answer = session.questions.answers.find(requestId);
    if (answer === undefined) continue;
    unknown.delete(requestId);
    await call(answer.method, answer.params);
  }
  session.questions.waits.resume((requestId) => open.has(requestId));
  for (const requestId of open) if (session.questions.waits.has(requestId)) unknown.delete(requestId);
  return unknown;
}

/** A rule that denied something is lost with the home, and what allows everything is on the disk. @throws RpcError, CopilotError */
export async function askAgain(sessionId: string, call: Recovering['call']): Promise<void> {
  const found = await call('session.permissions.getMode', { sessionId });
  if (isObject(found) && found['mode'] === 'manual') return;
  await call('session.permissions.setMode', { sessionId, mode: 'manual' });
}

/** Ids of what the server waits for of the clients of the session. */
export async function openQuestions(call: Recovering['call'], sessionId: string): Promise<Set<string>> {
  const pending = await Promise.all([PERMISSIONS, TOOLS].map((method) => pendingIds(call, method, sessionId)));
  return new Set(pending.flat());
}

async function pendingIds(call: Recovering['call'], method: string, sessionId: string): Promise<string[]> {
  const answer = await call(method, { sessionId });
  const items = isObject(answer) && Array.isArray(answer['items']) ? (answer['items'] as unknown[]) : [];
  return items.flatMap((item) => (isObject(item) && typeof item['requestId'] === 'string' ? [item['requestId']] : []));
}

/** Clients know a message by the first of its ids, whatever a server calls it that it was sent to again. */
export function nameAsKnown({ aliases }: Session, { messages }: Prompt, ids: readonly unknown[]): void {
  for (const [index, message] of messages.entries()) {
    const id = ids[index];
    if (!isServerId(id)) continue;
    const [known = id] = message.ids;
    aliases.add(id, known);
    message.ids.add(id);
  }
}

/** The journal has messages of the prompt under these ids, which may be all. */
export function found(session: Session, prompt: Prompt, ids: readonly (string | undefined)[]): void {
  if (!ids.includes(undefined)) acknowledge(session, prompt);
}

/**
 * The messages that the journal does not have go to the server as they came. Clients know them by their first ids.
 * @throws NotRestoredError if that cannot be
 */
export async function sendAgain(
  session: Session,
  prompt: Prompt,
  found: readonly (string | undefined)[],
  recovering: Recovering,
): Promise<void> {
  const { method, params, messages } = prompt;
  if (params === undefined) throw new NotRestoredError('a prompt is lost that was too large to be kept');
  const missing = messages.filter((_, index) => found[index] === undefined);
  for (const message of missing) message.unansweredSince = session.trail.position;
  // Its events may come before its answer, which says how the server calls it.
  session.events.hold();
  let answer: ServerAnswer;
  try {
    answer = await request(recovering, method, withMessages(params, found));
    if (!isResult(answer) && prompt.waiting === undefined)
      throw new NotRestoredError('the server refused a prompt that it had acknowledged');
  } catch (error) {
    // Nobody else ends the hold, unless its server is lost: then its load does.
    if (!session.isLost) session.events.caughtUp([]);
    throw error;
  }
  if (!isResult(answer)) {
    session.events.caughtUp([]);
    session.prompts.drop(prompt);
    return answerWaiting(prompt, answer);
  }
  const { messageId, messageIds } = resultFields(answer.body);
  const given: readonly unknown[] = Array.isArray(messageIds) ? messageIds : [messageId];
  let next = 0;
  nameAsKnown(
    session,
    prompt,
    found.map((id) => (id === undefined ? given[next++] : undefined)),
  );
  for (const message of missing) message.seenAt = undefined;
  session.events.dropIdle();
  session.events.caughtUp([]);
  acknowledge(session, prompt);
}

/** All messages of the prompt have an id. Who waits for its acknowledgement gets it. */
function acknowledge({ prompts, now }: Session, prompt: Prompt): void {
  const ids = prompt.messages.map((message) => [...message.ids][0]);
  const result = prompt.method === 'session.send' ? { messageId: ids[0] } : { messageIds: ids };
  prompts.acknowledged(prompt, result, now);
  if (prompt.waiting !== undefined) answerWaiting(prompt, answerOf(Buffer.from(formatAnswer(1, result)), 1));
}

/** The params of the call with those of its messages only that were not found. */
function withMessages(
  params: Readonly<Record<string, unknown>>,
  found: readonly (string | undefined)[],
): Readonly<Record<string, unknown>> {
  const { messages } = params;
  if (!Array.isArray(messages)) return params;
  return { ...params, messages: (messages as unknown[]).filter((_, index) => found[index] === undefined) };
}

/** @throws CopilotError if there is no answer */
async function request({ request: send }: Recovering, method: string, params: object): Promise<ServerAnswer> {
  const answer = await send(method, params);
  if (answer.kind === 'Lost') throw answer.error;
  return answer;
}
