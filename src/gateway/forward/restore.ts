/** Has a home attach a client to its sessions again, as it had set them up at the home before. */
import { isObject, type Message } from '../../copilot/index.ts';
import type { DeclaredSession } from '../relay/setup/client-state.ts';
import { restoreParams } from '../relay/setup/declarations.ts';
import { MODEL_UNAVAILABLE, NOT_RESTORED, UNAVAILABLE } from '../relay/refusals.ts';
import { restricts } from '../relay/setup/replay.ts';

/** The home cannot do it now, but may in a moment. */
export class NotNowError extends Error {
  /** Whether the server had got the request, and was lost. */
  readonly wasSent: boolean;

  constructor(message: string, wasSent = false) {
    super(message);
    this.wasSent = wasSent;
  }
}

/** The session would allow more than was decided. */
export class LessRestrictedError extends Error {}

export interface RestoreOptions {
  /** Sends the home a request in the client's name. Rejects with {@link NotNowError} if the home is lost. */
  readonly call: (method: string, params: object) => Promise<Message>;
  /** Whether the home was told of it, its rules included, before it attaches. */
  readonly takesOver: boolean;
  /** The home has refused a request. */
  readonly onRefusal: (method: string, code: number) => void;
}

const RETRYABLE = new Set([UNAVAILABLE, MODEL_UNAVAILABLE]);

/** Returns whether the client is attached to it. @throws NotNowError or LessRestrictedError */
export async function restoreSession(session: DeclaredSession, options: RestoreOptions): Promise<boolean> {
  const { sessionId, declaration, hadTurn, calls, isIncomplete } = session;
  if (isIncomplete) throw new LessRestrictedError('permissions and options were changed more often than is kept');
  // One without a turn is not on the disk, so it can only be made again. The home resumes it if it is there.
  const method = hadTurn ? 'session.resume' : 'session.create';
  const declared = hadTurn ? restoreParams([declaration]) : declaration;
  const attach = { ...declared, sessionId, disableResume: true, continuePendingWork: true };
  if (!(await accepted(method, attach, options))) return false;
  if (options.takesOver) return true;
  for (const call of calls) {
    const isAccepted = await accepted(call.method, call.params, options);
    if (isAccepted || !restricts(call.method)) continue;
    // The client must not use it without that.
    await accepted('session.detach', { sessionId }, options);
    throw new LessRestrictedError(`the server has refused ${call.method}`);
  }
  return true;
}

async function accepted(method: string, params: object, { call, onRefusal }: RestoreOptions): Promise<boolean> {
  const answer = await call(method, params);
  if (answer.kind !== 'error') return true;
  if (RETRYABLE.has(answer.code)) {
    const wasSent = isObject(answer.data) && answer.data['outcome'] === 'Unknown';
    throw new NotNowError(`the home has answered ${method} with ${answer.code}`, wasSent);
  }
  if (answer.code === NOT_RESTORED) throw new LessRestrictedError(answer.message);
  onRefusal(method, answer.code);
  return false;
}
