/**
 * Who is the home of a tenant. A replica becomes it when all others that may be alive have granted that, each by its own state: it neither
 * is the home nor claims the tenant with a higher rank. Of two that claim, one gives up before it grants, so both never succeed.
 */
import type { Ask, Message } from './messages.ts';
import { gossipOf, mayAct } from './membership.ts';
import { highestOf, outranks } from './rank.ts';
import { TIMES, type Effect, type Member, type Search, type State } from './state.ts';

/** Most homes of other tenants that are remembered. */
const MAX_LEARNED = 20_000;

/** The replica that is to become the home if there is none: one that drains only if all do. */
export function designated(state: State, tenant: string): string {
  const drainless = [...state.members.values()].filter(({ isDraining }) => !isDraining).map(({ id }) => id);
  if (!state.isDraining) return highestOf(tenant, [state.self.id, ...drainless]);
  const [first, ...others] = drainless;
  return first === undefined ? state.self.id : highestOf(tenant, [first, ...others]);
}

/** The home as far as it is known: an id, or undefined. */
export function homeOf(state: State, tenant: string): string | undefined {
  return state.held.has(tenant) ? state.self.id : state.learned.get(tenant);
}

/** Begins to look for the home, or to become it. */
export function search(state: State, tenant: string, isForwarded: boolean, now: number, effects: Effect[]): void {
  const mine = designated(state, tenant) === state.self.id;
  const intent = mine || (isForwarded && !state.isDraining) ? 'Claim' : 'Locate';
  const running = state.searches.get(tenant);
  if (running !== undefined && (running.intent === intent || running.intent === 'Claim')) return;
  restart(state, tenant, intent, now);
  evaluate(state, tenant, now, effects);
}

/** The same search from the beginning: all are asked again. */
export function restart(state: State, tenant: string, intent: Ask['intent'], now: number): void {
  const since = state.searches.get(tenant)?.since ?? now;
  state.lastNonce += 1;
  state.searches.set(tenant, { nonce: state.lastNonce, intent, since, asked: new Set(), answers: new Map() });
}

/** Answers a question of a member. */
export function answer(state: State, from: Member, ask: Ask, now: number, effects: Effect[]): void {
  const { tenant, nonce, intent } = ask;
  const reply = (what: 'Held' | 'Claiming' | 'Granted' | 'Free'): void => {
    const message: Message = { type: 'Answer', tenant, nonce, answer: what, gossip: gossipOf(state, now) };
    effects.push({ kind: 'Send', to: from.id, message });
  };
  if (state.held.has(tenant)) return reply('Held');
  const isClaiming = state.searches.get(tenant)?.intent === 'Claim';
  if (isClaiming && (intent === 'Locate' || outranks(tenant, state.self.id, from.id))) return reply('Claiming');
  if (intent === 'Locate') return reply('Free');
  // What was granted to this replica for its own claim counts for nothing from here on.
  if (isClaiming) restart(state, tenant, 'Locate', now);
  remember(state, tenant, from.id);
  reply('Granted');
}

/** Takes the answer of a member. */
export function take(
  state: State,
  from: Member,
  { tenant, nonce, answer: what, gossip }: Extract<Message, { type: 'Answer' }>,
  now: number,
  effects: Effect[],
): void {
  const running = state.searches.get(tenant);
  if (running?.nonce !== nonce) return;
  running.answers.set(from.id, { answer: what, alive: gossip.members.map(({ id }) => id) });
  evaluate(state, tenant, now, effects);
}

/** Asks those who were not asked yet, and decides if the answers suffice. */
export function evaluate(state: State, tenant: string, now: number, effects: Effect[]): void {
  const running = state.searches.get(tenant);
  if (running === undefined || !state.isJoined) return;
  ask(state, tenant, running, effects);
  for (const [id, { answer: what }] of running.answers) {
    if (what === 'Held' || what === 'Claiming') return decide(state, tenant, id, effects);
  }
  if (running.intent === 'Claim') {
    if (!mayAct(state, now) || ![...state.members.keys()].every((id) => isGranted(state, running, id))) return;
    state.held.add(tenant);
    return decide(state, tenant, state.self.id, effects);
  }
  const home = designated(state, tenant);
  if (home === state.self.id) {
    restart(state, tenant, 'Claim', now);
    return evaluate(state, tenant, now, effects);
  }
  const isComplete = [...state.members.keys()].every((id) => running.answers.has(id));
  if (running.answers.has(home) && (isComplete || now - running.since >= TIMES.locate))
    decide(state, tenant, home, effects);
}

/** Asks again who has not answered, or has answered what does not suffice. */
export function askAgain(state: State, tenant: string, id?: string): void {
  const running = state.searches.get(tenant);
  if (running === undefined) return;
  for (const asked of id === undefined ? [...running.asked] : [id]) {
    if (running.intent === 'Locate' ? !running.answers.has(asked) : !isGranted(state, running, asked)) {
      running.asked.delete(asked);
    }
  }
}

/** Remembers where a tenant is at home; of too many, those that were learned first are forgotten. */
function remember(state: State, tenant: string, id: string): void {
  state.learned.delete(tenant);
  state.learned.set(tenant, id);
  const [oldest] = state.learned.keys();
  if (state.learned.size > MAX_LEARNED && oldest !== undefined) state.learned.delete(oldest);
}

/** A grant counts only if its sender takes none for alive that is dead here: that one may still act, by the sender's promise. */
function isGranted(state: State, { answers }: Search, id: string): boolean {
  const found = answers.get(id);
  return found?.answer === 'Granted' && found.alive.every((other) => !state.dead.has(other));
}

function ask(state: State, tenant: string, { nonce, intent, asked }: Search, effects: Effect[]): void {
  for (const id of state.members.keys()) {
    if (asked.has(id)) continue;
    asked.add(id);
    effects.push({ kind: 'Send', to: id, message: { type: 'Ask', tenant, nonce, intent } });
  }
}

function decide(state: State, tenant: string, home: string, effects: Effect[]): void {
  state.searches.delete(tenant);
  if (home !== state.self.id) remember(state, tenant, home);
  effects.push({ kind: 'Decided', tenant, home });
}
