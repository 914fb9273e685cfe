// A gateway that follows the rules of the coordination store and of guards, and nothing else: it brings a session to a server, and prompts.
import {
  CoordinationUnavailableError,
  type CoordinationStore,
  type Place,
  type SessionRecord,
} from '../../src/gateway/locks/store.ts';
import { GUARD_ERROR, GRANT_METHOD, guardRefusal, type GuardErrorData } from '../../src/resources/guard-protocol.ts';
import type { GrantIntent, SessionGrant } from '../../src/resources/session-grant.ts';
import { GuardCaller, type Outcome } from './guard-caller.ts';
import type { GuardMutant, GuardedPod } from './guard-world.ts';

const SESSION = 'session';
const KEY = { tenant: 'acme-uid', session: SESSION };
/** Then it gives up: somebody else wants the session as much. */
const MOST_ATTEMPTS = 6;

const placeOf = ({ server, pod }: GuardedPod): Place => ({ server, podUID: pod });

/** Undefined: it went well. */
function refusalIn(outcome: Outcome): GuardErrorData | 'Failed' | undefined {
  if (outcome === 'Lost') return 'Failed';
  if (!('error' in outcome)) return undefined;
  return (outcome.error.code === GUARD_ERROR && guardRefusal(outcome.error)) || 'Failed';
}

export class ScriptedGateway {
  readonly name: string;
  readonly #store: () => CoordinationStore;
  readonly #pods: () => readonly GuardedPod[];
  readonly #mutant: GuardMutant;
  readonly #callers = new Map<string, GuardCaller>();
  /** Prompts that were acknowledged. */
  readonly acknowledged: string[] = [];
  #prompts = 0;

  constructor(name: string, store: () => CoordinationStore, pods: () => readonly GuardedPod[], mutant: GuardMutant) {
    this.name = name;
    this.#store = store;
    this.#pods = pods;
    this.#mutant = mutant;
  }

  /** Brings the session there and prompts so many times; whatever fails ends it. */
  async serve(to: GuardedPod, prompts: number): Promise<void> {
    try {
      const epoch = await this.#bring(to);
      if (epoch !== undefined) await this.#prompt(to, epoch, prompts);
    } catch (error) {
      if (!(error instanceof CoordinationUnavailableError)) throw error;
    }
  }

  async #prompt(to: GuardedPod, epoch: number, prompts: number): Promise<void> {
    for (let sent = 0; sent < prompts; sent += 1) {
      this.#prompts += 1;
      const prompt = `${this.name}-${this.#prompts}`;
      const outcome = await this.#call(to, 'session.send', { prompt, epoch });
      if (refusalIn(outcome) !== undefined) return;
      this.acknowledged.push(prompt);
    }
  }

  /** The epoch under which it is loaded; undefined: it is not, because another wants it or a pod does not answer. */
  async #bring(to: GuardedPod): Promise<number | undefined> {
    let floor = 0;
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const record = await this.#advance(to, floor);
      if (record === undefined) continue;
      const found = await this.#load(to, record);
      if (found === 'Loaded') {
        const settled = await this.#store().settle(KEY, record);
        return settled.outcome === 'Won' || this.#mutant.writesBlindly === true ? record.epoch : undefined;
      }
      if (found === 'Failed') return undefined;
      floor = Math.max(floor, found);
    }
    return undefined;
  }

  async #advance(to: GuardedPod, floor: number): Promise<SessionRecord | undefined> {
    const seen = await this.#store().read(KEY);
    const advance = { seen, floor, place: placeOf(to), holder: `${this.name}-${this.#prompts}` };
    if (this.#mutant.writesBlindly === true) {
      // As a store would that reads, compares and then writes: the number is that of another, too.
      const epoch = Math.max(seen?.epoch ?? 0, floor) + 1;
      await this.#store().advance(KEY, { ...advance, seen: await this.#store().read(KEY) });
      return {
        epoch,
        state: 'Moving',
        place: advance.place,
        leaving: seen ? [seen.place, ...seen.leaving] : [],
        holder: '',
      };
    }
    const { outcome, record } = await this.#store().advance(KEY, advance);
    return outcome === 'Won' ? record : undefined;
  }

  /** A number: a higher epoch that is known. */
  async #load(to: GuardedPod, { epoch, leaving }: SessionRecord): Promise<'Loaded' | 'Failed' | number> {
    const isBlind = this.#mutant.movesWithoutClose === true;
    const gone = new Set(isBlind ? this.#pods().map(({ pod }) => pod) : []);
    const toLeave = isBlind ? [] : leaving.filter(({ podUID }) => podUID !== to.pod).map(({ podUID }) => podUID);
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      for (const pod of toLeave.splice(0)) {
        const left = await this.#leave(pod, epoch, gone);
        if (left !== undefined) return left;
      }
      const refusal = refusalIn(await this.#grant(to, epoch, 'load', [...gone]));
      if (refusal === 'Failed') return 'Failed';
      if (refusal?.rule === 'StaleEpoch') return refusal.epoch ?? epoch;
      if (refusal === undefined)
        return refusalIn(await this.#call(to, 'session.resume', {})) === undefined ? 'Loaded' : 'Failed';
      if (refusal.rule !== 'NotClosed' || refusal.holder === undefined) return 'Failed';
      toLeave.push(refusal.holder.pod);
    }
    return 'Failed';
  }

  /** Undefined: it was closed there, or the pod is gone for sure. */
  async #leave(pod: string, epoch: number, gone: Set<string>): Promise<'Failed' | number | undefined> {
    const from = this.#pods().find((each) => each.pod === pod);
    if (from === undefined || from.isGone) {
      gone.add(pod);
      return undefined;
    }
    const refusal = refusalIn(await this.#grant(from, epoch, 'close', []));
    if (refusal === 'Failed') return 'Failed';
    if (refusal !== undefined) return refusal.epoch ?? epoch;
    return refusalIn(await this.#call(from, 'sessions.close', {})) === undefined ? undefined : 'Failed';
  }

  #grant({ server, pod }: GuardedPod, epoch: number, intent: GrantIntent, gone: readonly string[]): Promise<Outcome> {
    const grant: SessionGrant = {
      tenant: 'team/acme',
      server,
      pod,
      session: SESSION,
      epoch,
      intent,
      gone,
      issuedAt: 'now',
    };
    const to = this.#pods().find((each) => each.pod === pod);
    return to === undefined
      ? Promise.resolve('Lost')
      : this.#callerOf(to).call(GRANT_METHOD, { grant: JSON.stringify(grant) });
  }

  #call(to: GuardedPod, method: string, params: object): Promise<Outcome> {
    return this.#callerOf(to).call(method, { sessionId: SESSION, ...params });
  }

  #callerOf(to: GuardedPod): GuardCaller {
    const found = this.#callers.get(to.pod);
    if (found !== undefined && !found.isClosed) return found;
    const caller = new GuardCaller(to);
    this.#callers.set(to.pod, caller);
    return caller;
  }
}
