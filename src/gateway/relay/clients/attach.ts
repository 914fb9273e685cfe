/** How clients attach to sessions and leave them: `session.create`, `session.resume`, `session.detach`, and a lost client. */
import { UnreachableError, isObject, type CopilotError } from '../../../copilot/index.ts';
import type { SessionModel } from '../../model.ts';
import { catchUp } from '../home/catch-up.ts';
import { attachParams, detachParams, restated } from '../setup/declarations.ts';
import { goOn, goOnAlone, type AttachTaken } from '../home/go-on.ts';
import type { Home } from '../home/home.ts';
import { withModel, withSettings, withoutLogin } from '../injection/injected.ts';
import type { Declaration, ServerAnswer, SessionClient } from '../model.ts';
import {
  REPEATS,
  asError,
  clientGone,
  copied,
  isResult,
  isUngranted,
  isUnloaded,
  loadFailure,
  lost,
  modelFailure,
  unknownSession,
} from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import { isNeeded } from '../session/under-way.ts';

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
  /** What it was in the middle of at the home before; undefined: it comes by itself. */
  readonly taken: AttachTaken | undefined;
  /** Nobody says so, whether or not it was: its holder does all that by itself. */
  readonly saysNoBefore: boolean;
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
  for (let host = home; ;) {
    const session = host.sessionFor(request.sessionId);
    // Not in its turn: what waits for that, such as a drain, must not wait for a client.
    if (session.asking.isOpen) await session.asking.none();
    const at = host;
    const outcome = await session.exclusively(() => attachInTurn(at, client, session, request), client.gone);
    if (outcome === undefined) return request.answered(clientGone());
    if (outcome === 'Done') return;
    // Its server may be another one by now.
    host = host.hostOf(session);
  }
}

async function attachInTurn(
  home: Home,
  client: SessionClient,
  session: Session,
  request: AttachRequest,
): Promise<'Done' | 'Again'> {
  for (let repeats = 0; ; repeats += 1) {
    if (home.hostOf(session) !== home) return 'Again';
    // It may have been unloaded or deleted, and forgotten, while this waited.
    if (home.sessionFor(request.sessionId) !== session || session.asking.isOpen) return 'Again';
    if ((await attachOnce(home, client, session, request, repeats)) === 'Done') return 'Done';
  }
}

/** `repeats`: how often servers were lost that were asked for it, which may have attached it. */
async function attachOnce(
  home: Home,
  client: SessionClient,
  session: Session,
  request: AttachRequest,
  repeats: number,
): Promise<'Done' | 'Again'> {
  const refuse = (answer: ServerAnswer): 'Done' => {
    request.answered(answer);
    forgetUnused(home, session);
    return 'Done';
  };
  const { left } = home.moves;
  try {
    await home.upstream.opened(goneOrLeft(home, client));
  } catch (error) {
    if (left.aborted && !client.isEnded) return 'Again';
    return refuse(lost(error as CopilotError, repeats > 0));
  }
  let model: SessionModel | undefined;
  try {
    model = await home.injection.read();
  } catch (error) {
    return refuse(modelFailure(error));
  }
  if (request.owned?.isOwn() === false) {
    return refuse(lost(new UnreachableError('another client has just made the session'), false));
  }
  const before = session.attached.declarationOf(client);
  const others = session.attached.declarations.filter((each) => each !== before);
  const declaration = before === undefined ? request.declaration : restated(before, request.declaration);
  const failure = await loadForOthers(home, session);
  if (home.hostOf(session) !== home) return 'Again';
  if (failure !== undefined) {
    request.answered(failure);
    return 'Done';
  }
  let place: Disposable;
  try {
    place = await home.places.take(session, () => !client.isEnded);
  } catch (error) {
    return refuse(loadFailure(error) ?? lost(error as CopilotError, false));
  }
  using _place = place;
  // It may have gone while this waited for others.
  if (client.isEnded) return refuse(clientGone());
  if (home.session(session.id) !== session || home.hostOf(session) !== home) return 'Again';
  // Its server may have been lost since: what others do with it goes on first.
  if (session.isLost && isNeeded(session)) return 'Again';
  const declared = JSON.stringify([...others, declaration]).length;
  if (declared > home.limits.declarationLength) {
    return refuse({ kind: 'TooMany', why: tooLong(home.limits.declarationLength) });
  }
  session.attach(client, declaration);
  // What comes now is for it after what it has missed.
  if (request.taken !== undefined) session.delivery.hold(client);
  request.begun(session);
  const params = attachParams(request.declaration, others, declaration);
  const answer = await attachOnServer(home, session, client, request, params, model, repeats < REPEATS);
  if (answer === 'Attached') {
    if (before === undefined && request.taken === undefined) void bringUp(home, session, client);
    session.watchUse();
    return 'Done';
  }
  // It goes on with what it had.
  if (before !== undefined && session.isAttached(client)) session.attach(client, before);
  else session.detach(client);
  if (answer === 'Again') return 'Again';
  forgetUnused(home, session);
  return 'Done';
}

/** Tells a client what it has missed of the turn that runs, and then what waits for an answer. */
async function bringUp({ calls }: Home, session: Session, client: SessionClient): Promise<void> {
  // Without a turn it is asked in the same moment, before anything else comes.
  if (session.delivery.isBehind(client)) await catchUp(session, client, calls);
  session.offer(client);
}

function tooLong(allowed: number): string {
  return `what the clients of the session declare has more than the ${allowed} characters allowed`;
}

function forgetUnused(home: Home, session: Session): void {
  // It may have moved while its server was asked.
  if (session.clientCount === 0 && !session.isLoaded) home.hostOf(session).forget(session);
}

/** Detaches a client. The others keep what they declared; the last one leaves the session to the time-out of unused ones. */
export async function detach(home: Home, client: SessionClient, session: Session): Promise<void> {
  const left = session.detach(client);
  if (left === undefined || session.clientCount === 0) return;
  await home.calls.redeclare(session, () => {
    const { injection } = home;
    const params = detachParams(left, session.attached.declarations);
    // With its login: the server may unload it in this very moment, and would load it without one.
    return injection.isOn ? withModel('session.resume', withoutLogin(params), injection.given(session)) : params;
  });
}

async function attachOnServer(
  home: Home,
  session: Session,
  client: SessionClient,
  request: AttachRequest,
  params: Declaration,
  model: SessionModel | undefined,
  mayRepeat: boolean,
): Promise<'Attached' | 'Refused' | 'Again'> {
  const { sessionId, answered } = request;
  const { losses } = home.upstream;
  const isCut = (answer: ServerAnswer): boolean =>
    mayRepeat && (answer.kind === 'Lost' || isUngranted(answer)) && home.upstream.losses !== losses;
  const isCreate = request.method === 'session.create';
  const isFirst = request.isChosen && session.load.loads === 0;
  const follows = home.mayFollow && request.taken === undefined;
  const isNew = !isCreate && isFirst && !session.isLoaded && (await isUnrecorded(home, sessionId));
  const isLooked = !session.isLoaded && (isCreate || isNew || (isFirst && follows));
  const stored = isLooked ? await storedSession(home, request) : undefined;
  if (stored?.failure !== undefined) {
    if (isCut(stored.failure)) return 'Again';
    answered(stored.failure);
    return 'Refused';
  }
  // Anybody may ask for any id: each would leave epochs on the volume, and in the memory of guards, for ever.
  if (isNew && stored?.isAbsent === true) {
    answered(unknownSession(request.method, sessionId));
    return 'Refused';
  }
  const fenced = session.isLoaded ? undefined : await admitted(home, sessionId);
  if (fenced !== undefined) {
    if (isCut(fenced)) return 'Again';
    answered(fenced);
    return 'Refused';
  }
  // Another home may have served it a moment ago, whose clients are gone with it.
  const comesAnew = request.taken === undefined && !request.saysNoBefore;
  const isLeft = isFirst && comesAnew && home.time.mayBeOfAnother(stored?.modifiedTime);
  // That home may not have noticed that it is none any more, and the server not that a connection was lost. What clients had declared there would
  // clash, or be asked in vain. And a server that has it in memory has the login of then, which the one of now does not replace if it is of another kind.
  if (isFirst && (home.mayFollow || home.upstream.silences > 0 || model !== undefined))
    await home.calls.own('sessions.close', { sessionId });
  if (isLeft) session.delivery.hold(client);
  const resume = stored === undefined || stored.exists || !isCreate;
  const wasLoaded = session.isLoaded;
  const login = home.injection.tellable(session, model);
  const told = model === undefined ? params : withoutLogin(params);
  const own = {
    ...(wasLoaded && { disableResume: true }),
    ...((wasLoaded || isLeft) && { continuePendingWork: true }),
  };
  const settings = home.settingsOf(sessionId);
  const method = resume ? 'session.resume' : 'session.create';
  const { promise, resolve } = Promise.withResolvers<'Attached' | 'Refused' | 'Again'>();
  const finish = (answer: ServerAnswer, sent = method) => {
    if (isCut(answer)) return resolve('Again');
    const isAttached = isResult(answer);
    // Somebody has deleted it meanwhile: what the server has now is another one.
    if (isAttached && home.session(sessionId) !== session) return resolve('Again');
    // Before the answer is passed on: what follows it in the same read is for a session that is there. One that was lost since is restored.
    if (isAttached && home.upstream.losses === losses) {
      session.loaded();
      home.injection.loaded(session, login);
    }
    if (isAttached && isFirst && resume && home.mayFollow) session.lacksRules = request.taken === undefined;
    if (isAttached && resume) session.hadTurn = true;
    if (isAttached && sent === 'session.resume' && !wasLoaded) session.isDurable = true;
    // Anybody may ask for any id, and each would leave a record.
    if (!isAttached && isFirst && isUnloaded(answer)) home.fence?.forget(sessionId);
    // The end of a turn that it has seen nothing of would be taken for the end of its next one.
    if (!session.turn.isRunning) session.delivery.drop(client);
    answered(answer);
    resolve(isAttached ? 'Attached' : 'Refused');
  };
  const prepare = async (isNew: boolean): Promise<ServerAnswer | undefined> => {
    const failure = await request.owned?.prepare(session, isNew);
    if (failure !== undefined) return failure;
    if (request.taken !== undefined) return goOn(home, session, client, request.taken, model, losses);
    return isLeft ? goOnAlone(home, session, losses) : undefined;
  };
  const prepared = (answer: ServerAnswer, sent = method) => {
    // Also if it was loaded, as far as is known here: a server may have unloaded it and said nothing.
    const isReady = request.owned === undefined && request.taken === undefined && !isLeft;
    if (isReady || !isResult(answer)) return finish(answer, sent);
    const kept = copied(answer);
    prepare(sent === 'session.create')
      .then((failure) => finish(failure ?? kept, sent))
      .catch((error: unknown) => {
        // Whoever waits for it must not wait for ever.
        home.calls.failed(sent, error);
        answered(lost(asError(error), true));
        resolve('Refused');
      });
  };
  const send = (sent: string, done: (answer: ServerAnswer) => void) => {
    const resumed = session.asking.resuming();
    home.upstream.requestWithin(
      home.limits.attachTimeoutMs,
      sent,
      withSettings(withModel(sent, { ...told, ...own, sessionId }, login), settings, wasLoaded),
      (answer) => {
        resumed();
        done(answer);
      },
    );
  };
  if (session.asking.isOpen) return 'Again';
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
    await home.unloading.activity(session);
    await home.failover.load(session);
    return undefined;
  } catch (error) {
    // What the server refuses, it will refuse the attach that follows, too.
    return loadFailure(error);
  }
}

/** Whether nobody has ever had the session loaded: then it exists only if the server lists it. */
async function isUnrecorded(home: Home, sessionId: string): Promise<boolean> {
  const { fence, calls } = home;
  if (fence === undefined) return false;
  try {
    return !(await fence.isKnown(sessionId, home));
  } catch (error) {
    // Who loads it hears that.
    calls.failed('read the record', error);
    return false;
  }
}

/** Has the server be the one that may load the session. Returns why it is not. */
async function admitted(home: Home, sessionId: string): Promise<ServerAnswer | undefined> {
  try {
    await home.fence?.admit(sessionId, home);
    return undefined;
  } catch (error) {
    return loadFailure(error) ?? lost(asError(error), false);
  }
}

/** Aborts when the client goes, or the sessions of the server go on at another one. */
function goneOrLeft(home: Home, { gone }: SessionClient): AbortSignal | undefined {
  if (home.fence === undefined) return gone;
  return gone === undefined ? home.moves.left : AbortSignal.any([gone, home.moves.left]);
}

interface Stored {
  readonly exists: boolean;
  /** The server says that there is none. */
  readonly isAbsent?: boolean;
  readonly modifiedTime?: unknown;
  /** Why the server does not say whether it has it. */
  readonly failure?: ServerAnswer;
}

/** Whether the server has a session of this id: made again, one that exists would lose what it had. */
async function storedSession(home: Home, { isChosen, sessionId }: AttachRequest): Promise<Stored> {
  if (!isChosen) return { exists: false };
  try {
    const [result] = await Promise.all([home.upstream.call('sessions.getMetadata', { sessionId }), home.time.read()]);
    const session = isObject(result) && isObject(result['session']) ? result['session'] : undefined;
    return { exists: session !== undefined, isAbsent: session === undefined, modifiedTime: session?.['modifiedTime'] };
  } catch (error) {
    // A server that refuses this method: the create that follows says what is wrong.
    const failure = loadFailure(error);
    return { exists: false, ...(failure && { failure }) };
  }
}
