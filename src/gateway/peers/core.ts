/** The protocol of the replicas: each step takes what has happened and the time, and says what is to be done. No I/O, no clock. */
import { answer, askAgain, evaluate, homeOf, restart, search, take } from './claims.ts';
import {
  bury,
  expire,
  expired,
  gossipOf,
  hear,
  learn,
  loseSelf,
  mayAct,
  promise,
  seeLeases,
  type ExpireResult,
} from './membership.ts';
import type { MemberInfo, Message } from './messages.ts';
import { TIMES, type Effect, type SeenLease, type State } from './state.ts';

type Step = (effects: Effect[]) => void;

/** One replica. Times are of its monotonic clock, ms. */
export class Core {
  readonly state: State;

  constructor(state: State) {
    this.state = state;
  }

  /** Right also after a pause, before any step. */
  mayAct(now: number): boolean {
    return this.state.isActing && mayAct(this.state, now);
  }

  /** The home, if this replica knows it without asking: its own id, or that of a member. */
  homeOf(tenant: string): string | undefined {
    return homeOf(this.state, tenant);
  }

  /** To be called about twice a second. */
  tick(now: number): Effect[] {
    return this.#step(now, (effects) => {
      const { state } = this;
      state.tickedAt = now;
      if (now - state.heartbeatAt >= TIMES.heartbeat) {
        state.heartbeatAt = now;
        expire(state, now, effects);
        for (const id of state.members.keys()) this.#heartbeat(id, now, effects);
        for (const tenant of state.searches.keys()) askAgain(state, tenant);
      }
    });
  }

  /** All Leases of replicas, this one's included, as the watch has them. */
  leases(all: readonly SeenLease[], now: number): Effect[] {
    return this.#step(now, (effects) => seeLeases(this.state, all, now, effects));
  }

  /** The own Lease was renewed by a request that was sent at `sentAt`. */
  renewed(sentAt: number, now: number): Effect[] {
    return this.#step(now, () => {
      this.state.renewedAt = Math.max(this.state.renewedAt, sentAt);
    });
  }

  /** The process that held the own Lease before has ended. */
  succeeds(id: string, now: number): Effect[] {
    return this.#step(now, (effects) => bury(this.state, id, now, effects));
  }

  /** The own Lease is gone, or another process holds it. */
  leaseLost(now: number): Effect[] {
    return this.#step(now, (effects) => loseSelf(this.state, effects));
  }

  expired(id: string, result: ExpireResult, now: number): Effect[] {
    return this.#step(now, (effects) => {
      expired(this.state, id, result, now, effects);
      // Others wait for the same: they are told at once.
      if (result === 'Deleted') for (const other of this.state.members.keys()) this.#heartbeat(other, now, effects);
    });
  }

  /** There is a connection to the member: what was sent to it before may be lost. */
  reachable(id: string, now: number): Effect[] {
    return this.#step(now, (effects) => {
      if (!this.state.members.has(id)) return;
      this.#heartbeat(id, now, effects);
      for (const tenant of this.state.searches.keys()) askAgain(this.state, tenant, id);
    });
  }

  received(from: MemberInfo, message: Message, now: number): Effect[] {
    const touched = message.type === 'Ask' || message.type === 'Answer' ? message.tenant : undefined;
    return this.#step(now, (effects) => this.#receive(from, message, now, effects), touched);
  }

  /** Looks for the home, or becomes it; `Decided` follows. */
  search(tenant: string, isForwarded: boolean, now: number): Effect[] {
    return this.#step(now, (effects) => search(this.state, tenant, isForwarded, now, effects), tenant);
  }

  /** Nobody waits for the home any more. */
  abandon(tenant: string): void {
    this.state.searches.delete(tenant);
  }

  /** The peer has said that it is not the home. */
  forget(tenant: string, id: string): void {
    if (this.state.learned.get(tenant) === id) this.state.learned.delete(tenant);
  }

  release(tenant: string, now: number): Effect[] {
    return this.#step(now, (effects) => {
      if (this.state.held.delete(tenant)) this.#tellAll({ type: 'Released', tenant }, effects);
    });
  }

  drain(now: number): Effect[] {
    return this.#step(now, (effects) => {
      this.state.isDraining = true;
      for (const id of this.state.members.keys()) this.#heartbeat(id, now, effects);
    });
  }

  /** The end: it holds nothing any more, and will not. */
  leave(now: number): Effect[] {
    return this.#step(now, (effects) => {
      const { state } = this;
      state.isJoined = false;
      // So that it is not fenced by its own end.
      state.isActing = false;
      state.held.clear();
      state.searches.clear();
      this.#tellAll({ type: 'Bye' }, effects);
    });
  }

  /** Takes another id, after `Lost`: it has to join again. */
  reborn(self: MemberInfo, now: number): void {
    const { state } = this;
    state.dead.set(state.self.id, now);
    state.self = self;
    state.selfSince = now;
  }

  /** What every step begins and ends with; without `touched` all searches may be decided by it. */
  #step(now: number, step: Step, touched?: string): Effect[] {
    const effects: Effect[] = [];
    this.#look(now, effects);
    const { size } = this.state.members;
    step(effects);
    this.#look(now, effects);
    const isOne = touched !== undefined && size === this.state.members.size;
    for (const tenant of isOne ? [touched] : [...this.state.searches.keys()])
      evaluate(this.state, tenant, now, effects);
    return effects;
  }

  /** A replica that may not act has given up all that it held before it does anything else. */
  #look(now: number, effects: Effect[]): void {
    const { state } = this;
    const may = mayAct(state, now);
    if (state.isActing && !may) {
      state.held.clear();
      for (const [tenant, { intent }] of state.searches) restart(state, tenant, intent, now);
      effects.push({ kind: 'Fenced' });
    }
    state.isActing = may;
  }

  #receive(from: MemberInfo, message: Message, now: number, effects: Effect[]): void {
    const { state } = this;
    const member = learn(state, from, now);
    if (member === undefined) {
      const mustKnow = message.type === 'Heartbeat' || message.type === 'Ask';
      if (mustKnow) effects.push({ kind: 'Send', to: from.id, message: { type: 'Dead', id: from.id } });
      return;
    }
    switch (message.type) {
      case 'Heartbeat':
        hear(state, member, message.gossip, now, effects);
        return promise(state, member, message.at, now, effects);
      case 'Alive':
        hear(state, member, message.gossip, now, effects);
        if (message.at >= state.selfSince && message.at <= now) member.ackedAt = Math.max(member.ackedAt, message.at);
        return;
      case 'Dead':
        if (message.id === state.self.id) loseSelf(state, effects);
        return;
      case 'Ask':
        return answer(state, member, message, now, effects);
      case 'Answer':
        hear(state, member, message.gossip, now, effects);
        return take(state, member, message, now, effects);
      case 'Released':
        return this.forget(message.tenant, from.id);
      case 'Bye':
        return bury(state, from.id, now, effects);
    }
  }

  #heartbeat(to: string, now: number, effects: Effect[]): void {
    const { state } = this;
    effects.push({ kind: 'Send', to, message: { type: 'Heartbeat', at: now, gossip: gossipOf(state, now) } });
  }

  #tellAll(message: Message, effects: Effect[]): void {
    for (const to of this.state.members.keys()) effects.push({ kind: 'Send', to, message });
  }
}
