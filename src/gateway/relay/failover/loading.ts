/** Has a server load a session again as its clients had set it up, after it was restarted or has unloaded it. */
import { RpcError } from '../../../copilot/index.ts';
import type { SessionModel, SessionSettings } from '../../model.ts';
import { waitsForNothing } from './answered-tools.ts';
import { createParams, restoreParams } from '../setup/declarations.ts';
import { replayedWithoutLogin, withModel, withSettings } from '../injection/injected.ts';
import type { Injection } from '../injection/injection.ts';
import { NotRestoredError, type Declaration } from '../model.ts';
import { restricts, type ReplayedCall } from '../setup/replay.ts';
import { isNotFound, resultIn } from '../server/server-answer.ts';
import type { Session } from '../session/session.ts';
import { hasCutTurn, isActive, recoverTurn, type Recovered, type Recovering } from './recover-turn.ts';
import { isNeeded } from '../session/under-way.ts';

/** What a session is loaded with. */
export interface Loading extends Recovering {
  readonly injection: Pick<Injection, 'read' | 'loaded'>;
  /** Has the server be the one that may load the session, where several could. Undefined: none other can. */
  readonly admit?: ((sessionId: string) => Promise<void>) | undefined;
  /** What its CopilotSession sets of a session; undefined: nothing. */
  readonly settings: (sessionId: string) => SessionSettings | undefined;
  /** To be called when the server has made it anew, and before anybody uses it: writes whose it is, where users are kept apart. */
  readonly made: (sessionId: string) => Promise<void>;
  /** Has the server unload it. */
  readonly close: (sessionId: string) => Promise<unknown>;
  /** @throws CopilotError if the server was lost meanwhile; undefined: it is not known */
  readonly check?: () => void;
  /** The server has refused a call that is told again. */
  readonly onFailure: (method: string, error: unknown) => void;
}

/**
 * Loads it, unless it is loaded, and has its turn go on. Returns what became of that.
 * @throws CopilotError, NotRestoredError, ModelUnavailableError, or what `admit` throws
 */
export async function loadSession(session: Session, loading: Loading): Promise<Recovered> {
  // Unless somebody needs it, it stays unloaded: its clients may have left while this waited.
  if (session.isLoaded || !isNeeded(session)) return 'Idle';
  if (session.replay.overflowed) {
    throw new NotRestoredError('its clients changed permissions and options more often than is kept');
  }
  const { injection, call } = loading;
  const { id: sessionId } = session;
  const { loadedWith } = session.attached;
  if (loading.admit !== undefined) await loading.admit(sessionId);
  // A server that still has the connection of before would refuse tools because of it, and ask hooks there in vain.
  if (session.load.mayBeHeld) await closed(sessionId, loading);
  const settings = loading.settings(sessionId);
  const model = await injection.read();
  // Without a turn it is not on the disk (docs/protocol.md), so it can only be made again.
  const mayBeOnDisk = session.hadTurn || session.prompts.wereSent;
  if (!mayBeOnDisk || !(await resumed(session, loading, restoreParams(loadedWith), model))) {
    const params = withSettings(withModel('session.create', createParams(loadedWith), model), settings, false);
    await loadedBy(loading, 'session.create', { ...params, sessionId });
    await stamped(sessionId, loading);
  } else if (hasCutTurn(session) && (await isActive(call, sessionId)) && (await waitsForNothing(call, sessionId))) {
    // The model is told that the tool was interrupted.
    await closed(sessionId, loading);
    await resumed(session, loading, restoreParams(loadedWith), model, false);
    session.events.dropHeld();
  }
  for (const kept of session.replay.calls) {
    await tellAgain(sessionId, loading, kept, model);
  }
  const recovered = await recoverTurn(session, loading);
  // The next server does not have it.
  loading.check?.();
  // Only now: a request that came meanwhile must not overtake a rule, or a prompt that is sent again.
  session.loaded();
  injection.loaded(session, model);
  return recovered;
}

/** Makes or resumes it, for which a server has as long as for a client that attaches. @throws RpcError, CopilotError */
async function loadedBy({ request }: Loading, method: string, params: object): Promise<void> {
  resultIn('the server', method, await request(method, params));
}

async function closed(sessionId: string, { call, onFailure }: Loading): Promise<void> {
  const method = 'sessions.close';
  try {
    await call(method, { sessionId });
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    onFailure(method, error);
  }
}

/** One that says nothing of its owner is nobody's, and without what would be told again it must not stay loaded. */
async function stamped(sessionId: string, { made, close }: Loading): Promise<void> {
  try {
    await made(sessionId);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    await close(sessionId);
    throw new NotRestoredError('the server did not take whose it is', { cause: error });
  }
}

/** Tells the server a call again, but for its login where the tenant has one. */
export async function tellAgain(
  sessionId: string,
  loading: Loading,
  kept: ReplayedCall,
  model: SessionModel | undefined,
): Promise<void> {
  const told = model === undefined ? kept : replayedWithoutLogin(kept);
  if (told !== undefined) await replay(sessionId, loading, told);
}

/** Tells the server a call again. Without one that restricts the session, it must not stay loaded. */
async function replay(
  sessionId: string,
  { call, close, onFailure }: Loading,
  { method, params }: ReplayedCall,
): Promise<void> {
  try {
    await call(method, params);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    onFailure(method, error);
    if (!restricts(method)) return;
    await close(sessionId);
    throw new NotRestoredError(`the server refused ${method}, which it had accepted before`, { cause: error });
  }
}

/**
 * Returns false if the server does not have it: the beginning of its first turn may be lost with a process. `continuePendingWork`: whether what it has
 * asked of clients stays open.
 */
async function resumed(
  session: Session,
  loading: Loading,
  declared: Declaration,
  model: SessionModel | undefined,
  continuePendingWork = true,
): Promise<boolean> {
  try {
    const params = withSettings(withModel('session.resume', declared, model), loading.settings(session.id), true);
    const own = { sessionId: session.id, disableResume: true, continuePendingWork };
    await loadedBy(loading, 'session.resume', { ...params, ...own });
    return true;
  } catch (error) {
    // One that was on the disk was deleted. It must not come back empty under the same id.
    if (!session.isDurable && isNotFound(error)) return false;
    throw error;
  }
}
