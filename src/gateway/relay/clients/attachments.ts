/** The sessions that one client is attached to, and how it attaches to another and leaves one. */
import { UnreachableError, formatAnswer, type RequestId } from '../../../copilot/index.ts';
import type { ClientLink } from '../../model.ts';
import { attach, detach } from './attach.ts';
import type { ClientPrompts } from './client-prompts.ts';
import type { DeclaredSession } from '../setup/client-state.ts';
import type { Forwarding } from './forwarding.ts';
import type { Home } from '../home/home.ts';
import type { IsolatedCalls } from './isolated.ts';
import { sessionIdOf, type RelayLimits, type ServerAnswer } from '../model.ts';
import type { ClientRequest, RequestingClient } from './open-requests.ts';
import type { OpenPrompt } from '../turns/prompts.ts';
import { tooMany } from '../refusals.ts';
import type { Replies } from './replies.ts';
import { isResult, lost } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

export interface AttachmentsOptions {
  readonly homes: TenantHomes;
  readonly limits: Pick<RelayLimits, 'attachedSessions'>;
  readonly link: Pick<ClientLink, 'saysNoBefore'>;
  readonly newId: () => string;
}

/** What the client's calls go through. */
export interface AttachmentsPath {
  readonly replies: Replies;
  readonly forwarding: Forwarding;
  readonly prompts: ClientPrompts;
  /** Undefined: the clients of the tenant are one trust domain. */
  readonly isolated: IsolatedCalls<ClientRequest> | undefined;
}

/** Of one client. */
export class Attachments {
  readonly #client: RequestingClient;
  readonly #path: AttachmentsPath;
  readonly #options: AttachmentsOptions;
  readonly #sessions = new Map<Session, Home>();
  /** Sessions in which it was in the middle of something at the home before. Most clients have none. */
  #expected: Map<string, DeclaredSession> | undefined;
  /** What is left of one of them whose attach came to nothing: its holder does not know what the client was told here until then. */
  #left: Map<string, DeclaredSession> | undefined;

  constructor(client: RequestingClient, path: AttachmentsPath, options: AttachmentsOptions) {
    this.#client = client;
    this.#path = path;
    this.#options = options;
  }

  /** Some may have been deleted by somebody else since. */
  get sessions(): Iterable<Session> {
    return this.#sessions.keys();
  }

  /** Those that the client is attached to now. */
  get current(): readonly Session[] {
    return [...this.#sessions.keys()].filter((session) => session.isAttached(this.#client));
  }

  /** Whether a turn of one of them runs, or a prompt waits. */
  get areBusy(): boolean {
    return [...this.#sessions.keys()].some(({ turn }) => turn.isBusy || turn.isTaken);
  }

  get isEmpty(): boolean {
    return this.#sessions.size === 0;
  }

  /** The client is about to attach to this session, in which it was in the middle of something at the home before. */
  expect(session: DeclaredSession): void {
    const { sessionId } = session;
    this.#expected ??= new Map();
    this.#expected.set(sessionId, this.#left?.get(sessionId) ?? session);
  }

  /** Leaves the sessions that are not its user's any more. */
  recheck(): void {
    const { user } = this.#client;
    for (const [session, home] of this.#sessions) {
      if (user === undefined || home.owners?.mayStay(session.id, user) !== false) continue;
      this.#leave(session, home);
    }
  }

  leaveAll(): void {
    for (const [session, home] of this.#sessions) this.#leave(session, home);
  }

  attach(request: ClientRequest): void {
    const { id, params } = request;
    const { homes, limits, newId } = this.#options;
    const { replies } = this.#path;
    if (this.#sessions.size >= limits.attachedSessions) this.#forgetEnded();
    if (this.#sessions.size >= limits.attachedSessions) {
      const refusal = tooMany(id, `the client is attached to ${limits.attachedSessions} sessions already`);
      this.#dropClaim(sessionIdOf(params));
      return replies.refuse(id, 'TooManySessions', refusal);
    }
    const chosen = params['sessionId'];
    const isChosen = typeof chosen === 'string' && chosen !== '';
    const sessionId = isChosen ? chosen : newId();
    const home = isChosen ? homes.homeOf(sessionId) : homes.place(sessionId, this.#client.user);
    // Where servers share a volume, its server may have left while this waited.
    const at = () => (home.fence === undefined ? home : homes.homeOf(sessionId));
    const go = () => this.#attachTo(at(), sessionId, isChosen, request);
    const refuse = () => {
      this.#dropClaim(sessionId);
      replies.pass(id, lost(new UnreachableError('too many calls wait for a server that drains'), false));
    };
    home.drain.enter('Start', { bytes: request.bytes, gone: this.#client.gone, go, forget: refuse }, refuse);
  }

  detach(request: ClientRequest): void {
    const { id, params } = request;
    const home = this.#options.homes.homeOf(sessionIdOf(params));
    const session = home.session(sessionIdOf(params));
    // Without a client it is nobody's; with others it must stay theirs.
    if (session === undefined) return this.#path.forwarding.forward(request);
    this.#leave(session, home);
    this.#path.replies.reply(id, formatAnswer(id, { success: true }));
  }

  #attachTo(home: Home, sessionId: string, isChosen: boolean, { id, method, params }: ClientRequest): void {
    const { replies, prompts, isolated } = this.#path;
    const before = this.#expected?.get(sessionId);
    this.#expected?.delete(sessionId);
    this.#left?.delete(sessionId);
    let unsent: readonly OpenPrompt[] = [];
    const taken = before && {
      before,
      answered: (callId: RequestId, prompt: ServerAnswer) => replies.pass(callId, prompt),
      unsent: (found: readonly OpenPrompt[]) => void (unsent = found),
    };
    void attach(home, this.#client, {
      method: method === 'session.create' ? method : 'session.resume',
      sessionId,
      isChosen: isChosen && home.owners?.isNew(sessionId) !== true,
      declaration: isolated?.declaration(params) ?? params,
      owned: home.owners && isolated?.attach(home, home.owners, sessionId),
      begun: (session) => this.#sessions.set(session, home),
      saysNoBefore: this.#options.link.saysNoBefore === true,
      taken,
      answered: (answer) => {
        if (taken !== undefined && !isResult(answer)) (this.#left ??= new Map()).set(sessionId, taken.before);
        // Before what the client sends as soon as it is attached.
        for (const prompt of unsent) prompts.sendAgain(prompt);
        replies.pass(id, answer);
        this.#tellRules(this.#options.homes.homeOf(sessionId).session(sessionId));
      },
    }).then(() => {
      this.#dropClaim(sessionId);
      this.#forgetEnded();
    });
  }

  #leave(session: Session, home: Home): void {
    this.#sessions.delete(session);
    void detach(home.hostOf(session), this.#client, session);
  }

  /** The session is made, or is not going to be: where users have a limit, it must not count as one that is being made. */
  #dropClaim(sessionId: string | undefined): void {
    const { user } = this.#client;
    if (user !== undefined && sessionId !== undefined) this.#options.homes.owners?.dropClaim(sessionId, user);
  }

  /** Sessions that it was not attached to, or that were deleted by somebody, are not its own any more. */
  #forgetEnded(): void {
    for (const session of this.#sessions.keys()) if (!session.isAttached(this.#client)) this.#sessions.delete(session);
  }

  /** Whoever holds the client must know them all, for the next home. */
  #tellRules(session: Session | undefined): void {
    if (session?.isAttached(this.#client) === true) this.#client.told?.(session.told(session.replay.kept));
  }
}
