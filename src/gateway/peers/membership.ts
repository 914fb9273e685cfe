/**
 * Who is alive. A replica takes another for dead only if that one cannot act any more by its own clock: it has said so, another process
 * holds its Lease, or nothing of it was seen and promised for the duration of a Lease and then its Lease was deleted as it was last seen.
 */
import type { Gossip, MemberInfo } from './messages.ts';
import { TIMES, type Effect, type Member, type SeenLease, type State } from './state.ts';

/**
 * Whether this replica may act for the tenants that it holds: its Lease was renewed in time, or all others that it knows have promised not
 * to take it for dead, so that an outage of the API server stops nobody. It goes on, but does not begin, without either when it is alone,
 * and before a replica that it has just heard of can have answered.
 */
export function mayAct({ isJoined, isActing, renewedAt, tickedAt, members }: State, now: number): boolean {
  if (!isJoined) return false;
  if (now - renewedAt < TIMES.act) return true;
  if (members.size === 0) return isActing && now - tickedAt < TIMES.act;
  return [...members.values()].every(
    ({ ackedAt, learnedAt }) => now - ackedAt < TIMES.act || (isActing && now - learnedAt < TIMES.grace),
  );
}

/** The member with this id, which is added if it was never heard of; undefined for a dead one, and for this replica itself. */
export function learn(state: State, { id, lease, address }: MemberInfo, now: number): Member | undefined {
  if (id === state.self.id || state.dead.has(id)) return undefined;
  const known = state.members.get(id);
  if (known !== undefined) return known;
  const member: Member = {
    id,
    lease,
    address,
    isDraining: false,
    seen: undefined,
    isAbsent: false,
    quietSince: now,
    promisedAt: -Infinity,
    ackedAt: -Infinity,
    learnedAt: now,
    isExpiring: false,
    isCondemned: false,
  };
  state.members.set(id, member);
  return member;
}

/**
 * Takes in all Leases of replicas as they are, or were a moment ago. All at once, because whoever sees its own has then seen those that were
 * created before it.
 */
export function seeLeases(state: State, leases: readonly SeenLease[], now: number, effects: Effect[]): void {
  const { self, members } = state;
  const holders = new Map(leases.map(({ lease, id }) => [lease, id]));
  for (const member of members.values()) {
    // Only who was seen with a Lease can lose it: who is known by peers alone may be a holder of whom this reading is too old to tell.
    if (member.seen === undefined) continue;
    const holder = holders.get(member.lease);
    if (holder === undefined) loseSight(member, now);
    else if (holder !== member.id) bury(state, member.id, now, effects);
  }
  for (const lease of leases) if (lease.id !== '' && lease.lease !== self.lease) seeLease(state, lease, now);
  if (holders.get(self.lease) === self.id) state.isJoined = true;
  else if (state.isJoined) loseSelf(state, effects);
}

function seeLease(state: State, lease: SeenLease, now: number): void {
  const member = learn(state, lease, now);
  if (member === undefined) return;
  if (member.seen?.sign !== lease.sign) member.quietSince = now;
  member.seen = lease;
  member.isAbsent = false;
  member.isDraining = lease.isDraining;
}

/** This id is dead for others, or may be. */
export function loseSelf(state: State, effects: Effect[]): void {
  state.isJoined = false;
  state.renewedAt = -Infinity;
  effects.push({ kind: 'Lost' });
}

/** Begins to find out who is dead, and buries those of whom that is sure. */
export function expire(state: State, now: number, effects: Effect[]): void {
  for (const member of state.members.values()) {
    if (member.isExpiring || !isPromiseOver(member, now)) continue;
    if (member.isCondemned) bury(state, member.id, now, effects);
    else if (now - member.quietSince >= TIMES.lease) {
      member.isExpiring = true;
      effects.push({ kind: 'Expire', member, seen: member.seen });
    }
  }
}

/** What came of an `Expire`. */
export type ExpireResult =
  /** The Lease was deleted, unchanged since it was seen. */
  | 'Deleted'
  /** It does not exist, or another process holds it. */
  | 'Missing'
  /** It has changed. */
  | 'Changed'
  /** The API server does not answer. */
  | 'Failed';

export function expired(state: State, id: string, result: ExpireResult, now: number, effects: Effect[]): void {
  const member = state.members.get(id);
  if (member === undefined) return;
  member.isExpiring = false;
  const isQuiet = now - member.quietSince >= TIMES.lease;
  if (result === 'Deleted' || (result === 'Missing' && member.isAbsent && isQuiet)) bury(state, id, now, effects);
  else if (result === 'Missing' && !member.isAbsent) loseSight(member, now);
  else if (result === 'Changed') member.quietSince = now;
}

/** From now on it is known that it has no Lease: it may have renewed it a moment ago. */
function loseSight(member: Member, now: number): void {
  member.seen = undefined;
  member.isAbsent = true;
  member.quietSince = now;
}

/** The member is dead for ever. */
export function bury(state: State, id: string, now: number, effects: Effect[]): void {
  // Others tell it again and again: if that made it news, all would tell each other of it for ever.
  if (!state.dead.has(id)) state.dead.set(id, now);
  if (!state.members.delete(id)) return;
  for (const [tenant, home] of state.learned) if (home === id) state.learned.delete(tenant);
  for (const { answers } of state.searches.values()) answers.delete(id);
  effects.push({ kind: 'Gone', id });
}

/** Answers a heartbeat with a promise, except for who is being found dead. */
export function promise(state: State, member: Member, at: number, now: number, effects: Effect[]): void {
  if (member.isExpiring) return;
  if (member.isCondemned) {
    effects.push({ kind: 'Send', to: member.id, message: { type: 'Dead', id: member.id } });
    return;
  }
  member.promisedAt = now;
  effects.push({ kind: 'Send', to: member.id, message: { type: 'Alive', at, gossip: gossipOf(state, now) } });
}

/** What others are told of others. */
export function gossipOf(state: State, now: number): Gossip {
  const dead = [...state.dead].filter(([, since]) => now - since < TIMES.tellOfDeath).map(([id]) => id);
  const members = [...state.members.values()].map(({ id, lease, address }) => ({ id, lease, address }));
  return { members, dead, isDraining: state.isDraining };
}

/** Takes over what the member tells of others and of itself. */
export function hear(
  state: State,
  member: Member,
  { members, dead, isDraining }: Gossip,
  now: number,
  effects: Effect[],
): void {
  member.isDraining = isDraining;
  for (const info of members) learn(state, info, now);
  for (const id of dead) {
    if (id === state.self.id) loseSelf(state, effects);
    const known = state.members.get(id);
    // The next process of the same pod knows for sure that the one before has ended.
    const isSure = known === undefined || known.lease === member.lease || isPromiseOver(known, now);
    if (isSure) bury(state, id, now, effects);
    else known.isCondemned = true;
  }
}

function isPromiseOver({ promisedAt }: Member, now: number): boolean {
  return now - promisedAt >= TIMES.lease;
}
