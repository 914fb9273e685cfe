/** How clients attach to sessions and leave them: `session.create`, `session.resume`, `session.detach`, and a lost client. */
import { UnreachableError, isObject } from '../../copilot/index.ts';
import type { SessionModel } from '../model.ts';
import { attachParams, detachParams } from './declarations.ts';
import type { Home } from './home.ts';
import { withModel, withoutLogin } from './injected.ts';
import type { Declaration, ServerAnswer, SessionClient } from './model.ts';
import { copied, isResult, isUnloaded, loadFailure, lost, modelFailure } from './server-answer.ts';
import type { Session } from './session.ts';

/** What is done when a client attaches to a session of its user, in a tenant whose users are kept apart. */
export interface OwnedAttach {
  /** Whether the session is still the user's: another one may have made it while this waited. */
  readonly isOwn: () => boolean;
  /** To be called after the server has loaded the session, and before anybody uses it. Returns why it must not be used. */
  readonly prepare: (session: Session, isNew: boolean) => Promise<ServerAnswer | undefined>;
}

/** A client's `session.create` or `session.resume`. */
export interface AttachRequest {
  readonly method: 'session.create' | 'session.resume';
  readonly sessionId: string;
  /** Whether the client chose the id, and it may be in use: any other is a new one. */
  readonly isChosen: boolean;
  readonly declaration: Declaration;
  /** Undefined: all users of the tenant may use all of its sessions. */
  readonly owned: OwnedAttach | undefined;
  /** Called before the server is asked: from here on the client may be detached. */
  readonly begun: (session: Session) => void;
  /** Called once with the server's answer. */
  readonly answered: (answer: ServerAnswer) => void;
}

/**
 * Attaches a client. A session that exists is resumed whatever was asked for: the server would give one of the same id a fresh
 * context and the same journal.
 */
export async function attach(home: Home, client: SessionClient, request: AttachRequest): Promise<void> {
  const { sessionId, declaration } = request;
  const session = home.sessionFor(sessionId);
  await session.exclusively(async () => {
    // It may have been unloaded and forgotten while this waited.
    const current = home.sessionFor(sessionId);
    if (current !== session) return attach(home, client, request);
    let model: SessionModel | undefined;
    try {
      model = await home.injection.read();
    } catch (error) {
      request.answered(modelFailure(error));
      return forgetUnused(home, session);
    }
    if (request.owned?.isOwn() === false) {
      request.answered(lost(new UnreachableError('another client has just made the session'), false));
      return forgetUnused(home, session);
    }
    const others = session.declarations;
    const before = session.declarationOf(client);
    const failure = await loadForOthers(home, session);
    if (failure !== undefined) return request.answered(failure);
    // It may have gone while this waited for others.
    if (client.isEnded) return forgetUnused(home, session);
    const declared = JSON.stringify([...others.filter((each) => each !== before), declaration]).length;
    if (declared > home.limits.declarationLength) {
      request.answered({ kind: 'TooMany', why: tooLong(home.limits.declarationLength) });
      return forgetUnused(home, session);
    }
    session.attach(client, declaration);
    request.begun(session);
    const answer = await attachOnServer(home, session, request, attachParams(declaration, others), model);
    if (answer === 'Attached') {
      if (before === undefined) session.offer(client);
      session.watchUse();
    } else if (before !== undefined && session.isAttached(client)) {
      // It goes on with what it had.
      session.attach(client, before);
    } else {
      session.detach(client);
      forgetUnused(home, session);
    }
  });
}

function tooLong(allowed: number): string {
  return `what the clients of the session declare has more than the ${allowed} characters allowed`;
}

function forgetUnused(home: Home, session: Session): void {
  if (session.clientCount === 0 && !session.isLoaded) home.forget(session);
}

/** Detaches a client. The others keep what they declared; the last one leaves the session to the time-out of unused ones. */
export async function detach(home: Home, client: SessionClient, session: Session): Promise<void> {
  const left = session.detach(client);
  if (left === undefined || session.clientCount === 0) return;
  await home.redeclare(session, () => {
    const { injection } = home;
    const params = detachParams(left, session.declarations);
    // With its login: the server may unload it in this very moment, and would load it without one.
    return injection.isOn ? withModel('session.resume', withoutLogin(params), injection.given(session)) : params;
  });
}

async function attachOnServer(
  home: Home,
  session: Session,
  request: AttachRequest,
  params: Declaration,
  model: SessionModel | undefined,
): Promise<'Attached' | 'Refused'> {
  const { sessionId, answered } = request;
  const isCreate = request.method === 'session.create';
  const resume = isCreate && !session.isLoaded ? await existsOnDisk(home, request) : true;
  if (typeof resume !== 'boolean') {
    answered(resume);
    return 'Refused';
  }
  const wasLoaded = session.isLoaded;
  const login = home.injection.tellable(session, model);
  const told = model === undefined ? params : withoutLogin(params);
  const own = wasLoaded ? { disableResume: true, continuePendingWork: true } : {};
  const method = resume ? 'session.resume' : 'session.create';
  const { promise, resolve } = Promise.withResolvers<'Attached' | 'Refused'>();
  const finish = (answer: ServerAnswer, sent = method) => {
    const isAttached = isResult(answer);
    // Before the answer is passed on: what follows it in the same read is for a session that is there.
    if (isAttached) {
      session.loaded();
      home.injection.loaded(session, login);
    }
    if (isAttached && resume) session.hadTurn = true;
    if (isAttached && sent === 'session.resume' && !wasLoaded) session.isDurable = true;
    answered(answer);
    resolve(isAttached ? 'Attached' : 'Refused');
  };
  const prepared = (answer: ServerAnswer, sent = method) => {
    // Also if it was loaded, as far as is known here: a server may have unloaded it and said nothing.
    if (request.owned === undefined || !isResult(answer)) return finish(answer, sent);
    const kept = copied(answer);
    void request.owned.prepare(session, sent === 'session.create').then((failure) => finish(failure ?? kept, sent));
  };
  const send = (sent: string, done: (answer: ServerAnswer) => void) =>
    home.upstream.requestWithin(
      home.limits.attachTimeoutMs,
      sent,
      withModel(sent, { ...told, ...own, sessionId }, login),
      done,
    );
  send(method, (answer) => {
    // The list had it, but it cannot be loaded: a session without a turn is a mere directory.
    if (isCreate && resume && isUnloaded(answer)) send('session.create', (made) => prepared(made, 'session.create'));
    else prepared(answer);
  });
  return promise;
}

/** After a restart, or where it was unloaded, the session is first as the others had it: what this client attaches to. Returns why it cannot be attached. */
async function loadForOthers(home: Home, session: Session): Promise<ServerAnswer | undefined> {
  try {
    await home.activity(session);
    await home.load(session);
    return undefined;
  } catch (error) {
    // What the server refuses, it will refuse the attach that follows, too.
    return loadFailure(error);
  }
}

/** Whether the server has a session of this id, or why it does not say so: made again, one that exists would lose what it had. */
async function existsOnDisk(home: Home, { isChosen, sessionId }: AttachRequest): Promise<boolean | ServerAnswer> {
  if (!isChosen) return false;
  try {
    const result = await home.upstream.call('sessions.getMetadata', { sessionId });
    return isObject(result) && isObject(result['session']);
  } catch (error) {
    // A server that refuses this method: the create that follows says what is wrong.
    return loadFailure(error) ?? false;
  }
}
