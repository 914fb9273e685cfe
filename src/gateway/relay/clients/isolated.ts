/**
 * Calls of one client of a tenant whose users are kept apart: each goes on if the session is the user's, and is otherwise what it is for
 * an id that nobody has. That answer comes from the server, asked about an id that nobody can have: so it is the same in every method, and
 * takes the same calls, whether the session is somebody else's or does not exist.
 */
import {
  RpcError,
  UnreachableError,
  formatAnswer,
  formatError,
  isObject,
  isSessionId,
  type RequestId,
} from '../../../copilot/index.ts';
import type { ForcedParams } from '../../model.ts';
import type { OwnedAttach } from './attach.ts';
import { forcedParams } from '../setup/declarations.ts';
import type { Home } from '../home/home.ts';
import { withoutLogin } from '../injection/injected.ts';
import type { Declaration, ServerAnswer } from '../model.ts';
import { merged, modifiedTimeOf } from '../listing/merge.ts';
import { ABSENT, type Owners, type StoredSession } from '../listing/owners.ts';
import type { Quota } from '../tenant/quota.ts';
import { idTaken, noSessionId } from '../refusals.ts';
import { asError, asUnknown, clientGone, loadFailure, lost } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';
import { WaitingCalls } from './waiting-calls.ts';

/** One call, as far as it is decided here. */
export interface IsolatedCall {
  readonly id: RequestId;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** How the client's calls go on. */
export interface IsolatedOptions<C extends IsolatedCall> {
  readonly user: string;
  readonly forced: ForcedParams | undefined;
  readonly newId: () => string;
  /** Aborts when the client goes. */
  readonly gone: () => AbortSignal;
  /** The session is the user's, or the call is about none. */
  readonly goOn: (call: C) => void;
  /** Answers with what the server said, or why it said nothing. */
  readonly pass: (id: RequestId, answer: ServerAnswer) => void;
  /** Answers with a frame of the gateway's own. */
  readonly reply: (id: RequestId, body: string) => void;
}

const CREATE = 'session.create';

/** Of one client. */
export class IsolatedCalls<C extends IsolatedCall> {
  readonly #options: IsolatedOptions<C>;
  /** Calls that wait until it is known whose the session is. */
  readonly #waiting: WaitingCalls<C>;

  constructor(options: IsolatedOptions<C>) {
    this.#options = options;
    this.#waiting = new WaitingCalls(options.gone, ({ id }) => options.pass(id, clientGone()));
  }

  /** Takes a call that goes to the server. `lists`: it is answered with sessions, and names none. */
  take(homes: TenantHomes, owners: Owners, call: C, lists: boolean): void {
    const { user, goOn, reply, newId } = this.#options;
    if (!owners.isReady) return this.#unavailable(call.id, 'it is not known yet whose sessions are whose');
    if (lists) return void this.#list(homes, owners, call);
    const { method, params } = call;
    const sessionId = params['sessionId'] ?? '';
    if (sessionId === '' && method === CREATE) {
      const made = newId();
      const named = { ...call, params: { ...params, sessionId: made } };
      if (homes.quota?.max !== undefined) return void this.#makeWithin(homes, homes.quota, made, named);
      owners.claim(made, user);
      homes.place(made, user);
      return goOn(named);
    }
    const isNone = typeof sessionId !== 'string' || (sessionId === '' && method.startsWith('session.'));
    // What a server makes of another one is for nobody to find out.
    if (isNone || (method === CREATE && !isSessionId(sessionId))) {
      return reply(call.id, noSessionId(call.id, method));
    }
    const isKnown = owners.known(sessionId, user) !== undefined && homes.find(sessionId) !== undefined;
    if (sessionId === '') return goOn(call);
    if (isKnown && !this.#waiting.has(sessionId)) return this.#own(homes, sessionId, call);
    this.#waiting.add(sessionId, call, () => this.#look(homes, owners, sessionId, method === CREATE));
  }

  /** A call about a session of the user. */
  #own(homes: TenantHomes, sessionId: string, call: C): void {
    const refusal = homes.refusal(sessionId, call.method);
    if (refusal === undefined) this.#options.goOn(call);
    else this.#options.pass(call.id, refusal);
  }

  /** The params with which the client's `session.create` or `session.resume` goes on. */
  declaration(params: Declaration): Declaration {
    const { forced } = this.#options;
    return forced === undefined ? params : { ...params, ...forcedParams([params], forced.declared, forced.defaults) };
  }

  /** For a call that went on, of a client that attaches. */
  attach(home: Home, owners: Owners, sessionId: string): OwnedAttach {
    return {
      isOwn: () => owners.known(sessionId, this.#options.user) !== undefined,
      prepare: async (session, isNew) => {
        const host = home.hostOf(session);
        try {
          await this.#force(host, session);
          await owners.stamp(host.upstream, sessionId, isNew);
          return undefined;
        } catch (error) {
          // Nobody could use it, or it would allow too much.
          await host.calls.own(isNew ? 'session.delete' : 'sessions.close', { sessionId });
          return loadFailure(error) ?? lost(asError(error), true);
        }
      },
    };
  }

  async #force(home: Home, session: Session): Promise<void> {
    const { forced } = this.#options;
    if (forced === undefined) return;
    const method = 'session.options.update';
    const params = { sessionId: session.id, ...forced.options };
    const result = await home.upstream.call(method, params);
    session.replay.keep(method, params, result);
  }

  /** Makes a session of a new id, if the user may have another one. */
  async #makeWithin(homes: TenantHomes, quota: Quota, sessionId: string, call: C): Promise<void> {
    const { user, gone, pass, goOn } = this.#options;
    const refusal = await claimed(quota, sessionId, user);
    if (refusal !== undefined) return pass(call.id, refusal);
    if (gone().aborted) {
      homes.owners?.dropClaim(sessionId, user);
      return pass(call.id, clientGone());
    }
    homes.place(sessionId, user);
    goOn(call);
  }

  /** Returns what becomes of the calls about the session. All servers are asked, unless it is the user's, so that this takes the same. */
  async #look(homes: TenantHomes, owners: Owners, sessionId: string, isCreate: boolean): Promise<(call: C) => void> {
    const { user, gone, pass } = this.#options;
    const isOwn = (stored: StoredSession) => stored.exists && owners.decide(sessionId, user, stored).verdict === 'Own';
    // Who makes a session finds out whether its id is in use; whoever asks for one must not.
    const needs = isCreate ? (home: Home) => homes.mayHave(sessionId, home) : undefined;
    let decided: (call: C) => void;
    try {
      const { answers, missing } = await homes.ask((home) => storedOn(home, owners, sessionId), isOwn, needs);
      const found = [...answers].find(([, stored]) => isOwn(stored)) ?? [...answers].find(([, { exists }]) => exists);
      if (found !== undefined && homes.find(sessionId) === undefined) homes.found(sessionId, found[0], user);
      const why = isCreate ? homes.away(missing, sessionId) : homes.away(missing);
      decided =
        why === undefined
          ? (call) => this.#decided(homes, owners, sessionId, call, found?.[1] ?? ABSENT)
          : (call) => pass(call.id, { kind: 'Away', why });
    } catch (error) {
      const failure = loadFailure(error) ?? lost(asError(error), false);
      decided = (call) => pass(call.id, failure);
    }
    return (call) => {
      if (!gone().aborted) decided(call);
    };
  }

  /** Claims the id that nobody has, where a user may have so many sessions only. Returns what becomes of the calls about it. */
  async #claim(
    homes: TenantHomes,
    owners: Owners,
    quota: Quota,
    sessionId: string,
    stored: StoredSession,
  ): Promise<(call: C) => void> {
    const { user, gone, pass } = this.#options;
    const refusal = await claimed(quota, sessionId, user);
    if (refusal === undefined && gone().aborted) owners.dropClaim(sessionId, user);
    if (owners.known(sessionId, user) !== undefined) homes.place(sessionId, user);
    return (call) => {
      if (gone().aborted) return;
      if (refusal !== undefined && call.method === CREATE) pass(call.id, refusal);
      else this.#decided(homes, owners, sessionId, call, stored);
    };
  }

  #decided(homes: TenantHomes, owners: Owners, sessionId: string, call: C, stored: StoredSession): void {
    const { user, goOn, reply } = this.#options;
    // One before it waits for its claim.
    if (this.#waiting.has(sessionId)) return this.take(homes, owners, call, false);
    const { verdict } = owners.known(sessionId, user) ?? owners.decide(sessionId, user, stored);
    if (verdict === 'Own') return this.#own(homes, sessionId, call);
    if (call.method !== CREATE) return this.#asUnknown(homes.first, sessionId, call);
    if (verdict === 'Other') return reply(call.id, idTaken(call.id));
    const { quota } = homes;
    if (quota?.max !== undefined)
      return this.#waiting.add(sessionId, call, () => this.#claim(homes, owners, quota, sessionId, stored));
    owners.claim(sessionId, user);
    homes.place(sessionId, user);
    goOn(call);
  }

  /** Asks the server about an id that was never used, and answers as if it were the one that was asked for. */
  #asUnknown({ upstream, injection, fence }: Home, sessionId: string, { id, method, params }: C): void {
    const { newId, pass } = this.#options;
    const unused = newId();
    // Where the tenant has a login, none of a client gets as far as the server, whatever it is asked.
    const asked = injection.isOn ? withoutLogin(params) : params;
    upstream.request(method, { ...asked, sessionId: unused }, (given) => {
      const answer = fence === undefined ? given : asUnknown(given, unused);
      pass(id, answer.kind === 'Answer' ? renamed(answer, unused, sessionId) : answer);
    });
  }

  async #list(homes: TenantHomes, owners: Owners, { id, method, params }: C): Promise<void> {
    const { user, pass, reply } = this.#options;
    const isLast = method !== 'session.list';
    try {
      const { answers, missing } = await homes.ask((home) => ownSessions(home, owners, user, isLast ? {} : params));
      const why = homes.away(missing);
      if (why !== undefined) return pass(id, { kind: 'Away', why });
      const lists = [...answers.values()];
      reply(id, formatAnswer(id, isLast ? lastOf(lists) : merged('Sessions', lists)));
    } catch (error) {
      if (error instanceof RpcError) reply(id, formatError(id, error.code, error.serverMessage));
      else pass(id, loadFailure(error) ?? lost(asError(error), true));
    }
  }

  #unavailable(id: RequestId, why: string): void {
    this.#options.pass(id, lost(new UnreachableError(why), false));
  }
}

/** Claims the id. Returns why the session must not be made. */
async function claimed(quota: Quota, sessionId: string, user: string): Promise<ServerAnswer | undefined> {
  try {
    return await quota.claim(sessionId, user);
  } catch (error) {
    return loadFailure(error) ?? lost(asError(error), false);
  }
}

interface ListedSession {
  readonly sessionId: string;
}

interface OwnSessions {
  readonly sessions: readonly ListedSession[];
}

function isListed(session: unknown): session is ListedSession & Readonly<Record<string, unknown>> {
  return isObject(session) && typeof session['sessionId'] === 'string' && isSessionId(session['sessionId']);
}

/** What the server has under the id. */
async function storedOn(home: Home, owners: Owners, sessionId: string): Promise<StoredSession> {
  try {
    return await owners.look(home.upstream, sessionId);
  } catch (error) {
    // An id that the server does not even look for is nobody's.
    if (error instanceof RpcError) return { ...ABSENT, exists: true };
    throw error;
  }
}

/** The server's answer to `session.list`, with the sessions of the user only. */
async function ownSessions(home: Home, owners: Owners, user: string, params: object): Promise<OwnSessions> {
  const result = await home.upstream.call('session.list', params);
  const listed = isObject(result) && Array.isArray(result['sessions']) ? (result['sessions'] as unknown[]) : [];
  const sessions = listed.filter(isListed);
  const stored = await owners.lookAt(
    home.upstream,
    sessions.map(({ sessionId }) => sessionId),
  );
  const own = sessions.filter(({ sessionId }) => {
    const found = stored.get(sessionId);
    return found !== undefined && owners.decide(sessionId, user, found).verdict === 'Own';
  });
  return { ...(isObject(result) ? result : {}), sessions: own };
}

/** As the server answers `session.getLastId`. */
function lastOf(lists: readonly OwnSessions[]): { readonly sessionId?: string } {
  const sessions = lists.flatMap((list) => list.sessions);
  const last = sessions.toSorted((a, b) => modifiedTimeOf(a).localeCompare(modifiedTimeOf(b))).at(-1);
  return last === undefined ? {} : { sessionId: last.sessionId };
}

/** The answer with another id in place of `unused`, wherever it stands. */
function renamed(
  answer: ServerAnswer & { readonly kind: 'Answer' },
  unused: string,
  sessionId: string,
): ServerAnswer & { readonly kind: 'Answer' } {
  const inJson = JSON.stringify(sessionId).slice(1, -1);
  return { ...answer, body: Buffer.from(answer.body.toString().replaceAll(unused, () => inJson)) };
}
