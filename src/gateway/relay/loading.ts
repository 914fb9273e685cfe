/** Has a server load a session again as its clients had set it up, after it was restarted or has unloaded it. */
import { RpcError } from '../../copilot/index.ts';
import type { SessionModel } from '../model.ts';
import { createParams, restoreParams } from './declarations.ts';
import { replayedWithoutLogin, withModel } from './injected.ts';
import type { Injection } from './injection.ts';
import { NotRestoredError, type Declaration } from './model.ts';
import { restricts, type ReplayedCall } from './replay.ts';
import { isNotFound } from './server-answer.ts';
import type { Session } from './session.ts';
import type { Upstream } from './upstream.ts';

/** What a session is loaded with. */
export interface Loading {
  readonly upstream: Pick<Upstream, 'call'>;
  readonly injection: Pick<Injection, 'read' | 'loaded'>;
  /** To be called when the server has made it anew, and before anybody uses it: writes whose it is, where users are kept apart. */
  readonly made: (sessionId: string) => Promise<void>;
  /** Has the server unload it. */
  readonly close: (sessionId: string) => Promise<unknown>;
  /** The server has refused a call that is told again. */
  readonly onFailure: (method: string, error: unknown) => void;
}

/** Loads it, unless it is loaded. @throws CopilotError, NotRestoredError or ModelUnavailableError */
export async function loadSession(session: Session, loading: Loading): Promise<void> {
  // Without clients it stays unloaded: they may have left while this waited.
  if (session.isLoaded || session.clientCount === 0) return;
  if (session.replay.overflowed) {
    throw new NotRestoredError('its clients changed permissions and options more often than is kept');
  }
  const { upstream, injection } = loading;
  const { id: sessionId, declarations } = session;
  const model = await injection.read();
  // Without a turn it is not on the disk (docs/protocol.md), so it can only be made again.
  if (!session.hadTurn || !(await resumed(session, loading, restoreParams(declarations), model))) {
    const params = withModel('session.create', createParams(declarations), model);
    await upstream.call('session.create', { ...params, sessionId });
    await stamped(sessionId, loading);
  }
  for (const call of session.replay.calls) {
    const told = model === undefined ? call : replayedWithoutLogin(call);
    if (told !== undefined) await replay(sessionId, loading, told);
  }
  // Only now: a request that came meanwhile must not overtake a rule.
  session.loaded();
  injection.loaded(session, model);
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

/** Tells the server a call again. Without one that restricts the session, it must not stay loaded. */
async function replay(
  sessionId: string,
  { upstream, close, onFailure }: Loading,
  { method, params }: ReplayedCall,
): Promise<void> {
  try {
    await upstream.call(method, params);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    onFailure(method, error);
    if (!restricts(method)) return;
    await close(sessionId);
    throw new NotRestoredError(`the server refused ${method}, which it had accepted before`, { cause: error });
  }
}

/** Returns false if the server does not have it: the beginning of its first turn may be lost with a process. */
async function resumed(
  session: Session,
  { upstream }: Loading,
  declared: Declaration,
  model: SessionModel | undefined,
): Promise<boolean> {
  try {
    const params = withModel('session.resume', declared, model);
    const own = { sessionId: session.id, disableResume: true, continuePendingWork: true };
    await upstream.call('session.resume', { ...params, ...own });
    return true;
  } catch (error) {
    // One that was on the disk was deleted. It must not come back empty under the same id.
    if (!session.isDurable && isNotFound(error)) return false;
    throw error;
  }
}
