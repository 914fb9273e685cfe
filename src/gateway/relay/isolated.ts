/**
 * Calls of one client of a tenant whose users are kept apart: each goes on if the session is the user's, and is otherwise what it is for
 * an id that nobody has. That answer comes from the server, asked about an id that nobody can have: so it is the same in every method, and
 * takes the same calls, whether the session is somebody else's or does not exist.
 */
import {
  CopilotError,
  RpcError,
  UnreachableError,
  formatAnswer,
  formatError,
  isObject,
  isSessionId,
  messageOf,
  type RequestId,
} from '../../copilot/index.ts';
import type { ForcedParams } from '../model.ts';
import type { OwnedAttach } from './attach.ts';
import { forcedParams } from './declarations.ts';
import type { Home } from './home.ts';
import { withoutLogin } from './injected.ts';
import type { Declaration, ServerAnswer } from './model.ts';
import type { Owners, StoredSession } from './owners.ts';
import { idTaken, noSessionId } from './refusals.ts';
import { loadFailure, lost } from './server-answer.ts';
import type { Session } from './session.ts';

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
  readonly isEnded: () => boolean;
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
  /** Calls that wait until it is known whose the session is, by its id and in their order. */
  readonly #waiting = new Map<string, C[]>();

  constructor(options: IsolatedOptions<C>) {
    this.#options = options;
  }

  /** Takes a call that goes to the server. `lists`: it is answered with sessions, and names none. */
  take(home: Home, owners: Owners, call: C, lists: boolean): void {
    const { user, goOn, reply, newId } = this.#options;
    if (!owners.isReady) return this.#unavailable(call.id, 'it is not known yet whose sessions are whose');
    if (lists) return void this.#list(home, owners, call);
    const { method, params } = call;
    const sessionId = params['sessionId'] ?? '';
    if (sessionId === '' && method === CREATE) {
      const made = newId();
      owners.claim(made, user);
      return goOn({ ...call, params: { ...params, sessionId: made } });
    }
    const isNone = typeof sessionId !== 'string' || (sessionId === '' && method.startsWith('session.'));
    // What a server makes of another one is for nobody to find out.
    if (isNone || (method === CREATE && !isSessionId(sessionId))) {
      return reply(call.id, noSessionId(call.id, method));
    }
    const isWaiting = this.#waiting.has(sessionId);
    if (sessionId === '' || (!isWaiting && owners.known(sessionId, user) !== undefined)) return goOn(call);
    if (isWaiting) return void this.#waiting.get(sessionId)?.push(call);
    this.#waiting.set(sessionId, [call]);
    void this.#look(home, owners, sessionId);
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
        try {
          await this.#force(home, session);
          await owners.stamp(sessionId, isNew);
          return undefined;
        } catch (error) {
          // Nobody could use it, or it would allow too much.
          await home.own(isNew ? 'session.delete' : 'sessions.close', { sessionId });
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

  async #look(home: Home, owners: Owners, sessionId: string): Promise<void> {
    let stored: StoredSession | undefined;
    let failure: ServerAnswer | undefined;
    try {
      stored = await owners.look(sessionId);
    } catch (error) {
      // An id that the server does not even look for is nobody's.
      failure = loadFailure(error);
      stored = { exists: true, stamp: undefined, label: undefined };
    }
    const calls = this.#waiting.get(sessionId) ?? [];
    this.#waiting.delete(sessionId);
    if (this.#options.isEnded()) return;
    for (const call of calls) {
      if (failure !== undefined) this.#options.pass(call.id, failure);
      else this.#decided(home, owners, sessionId, call, stored);
    }
  }

  #decided(home: Home, owners: Owners, sessionId: string, call: C, stored: StoredSession): void {
    const { user, goOn, reply } = this.#options;
    const { verdict } = owners.known(sessionId, user) ?? owners.decide(sessionId, user, stored);
    if (verdict === 'Own') return goOn(call);
    if (call.method !== CREATE) return this.#asUnknown(home, sessionId, call);
    if (verdict === 'Other') return reply(call.id, idTaken(call.id));
    owners.claim(sessionId, user);
    goOn(call);
  }

  /** Asks the server about an id that was never used, and answers as if it were the one that was asked for. */
  #asUnknown({ upstream, injection }: Home, sessionId: string, { id, method, params }: C): void {
    const { newId, pass } = this.#options;
    const unused = newId();
    // Where the tenant has a login, none of a client gets as far as the server, whatever it is asked.
    const asked = injection.isOn ? withoutLogin(params) : params;
    upstream.request(method, { ...asked, sessionId: unused }, (answer) =>
      pass(id, answer.kind === 'Answer' ? renamed(answer, unused, sessionId) : answer),
    );
  }

  async #list(home: Home, owners: Owners, { id, method, params }: C): Promise<void> {
    const { user, pass, reply } = this.#options;
    const isLast = method !== 'session.list';
    try {
      const result = await home.upstream.call('session.list', isLast ? {} : params);
      const listed = isObject(result) && Array.isArray(result['sessions']) ? (result['sessions'] as unknown[]) : [];
      const sessions = listed.filter(isListed);
      const stored = await owners.lookAt(sessions.map(({ sessionId }) => sessionId));
      const own = sessions.filter(({ sessionId }) => {
        const found = stored.get(sessionId);
        return found !== undefined && owners.decide(sessionId, user, found).verdict === 'Own';
      });
      const rest = isObject(result) ? result : {};
      reply(id, formatAnswer(id, isLast ? lastOf(own) : { ...rest, sessions: own }));
    } catch (error) {
      if (error instanceof RpcError) reply(id, formatError(id, error.code, error.serverMessage));
      else pass(id, loadFailure(error) ?? lost(asError(error), true));
    }
  }

  #unavailable(id: RequestId, why: string): void {
    this.#options.pass(id, lost(new UnreachableError(why), false));
  }
}

interface ListedSession {
  readonly sessionId: string;
  readonly modifiedTime?: unknown;
}

function isListed(session: unknown): session is ListedSession & Readonly<Record<string, unknown>> {
  return isObject(session) && typeof session['sessionId'] === 'string' && isSessionId(session['sessionId']);
}

/** As the server answers `session.getLastId`. */
function lastOf(sessions: readonly ListedSession[]): { readonly sessionId?: string } {
  const time = ({ modifiedTime }: ListedSession): string => (typeof modifiedTime === 'string' ? modifiedTime : '');
  const last = sessions.toSorted((a, b) => time(a).localeCompare(time(b))).at(-1);
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

function asError(error: unknown): CopilotError {
  return error instanceof CopilotError ? error : new UnreachableError(messageOf(error), { cause: error });
}
