/** What a server that answers can't do, and what follows for its sessions. */
import { METHOD_NOT_FOUND } from '../../copilot/errors.ts';
import type { Limitation } from '../../servers/survey/sessions.ts';
import { SessionReadyReason } from '../../api/session-conditions.ts';
import type { ServerView, Unavailable } from '../model.ts';

/** The method without which nothing is known of a server's sessions. */
export const LIST_SESSIONS = 'sessions.list';
/** The method without which the owner that is stored with a session's data is unknown. */
export const READ_OWNER = 'sessions.getClientMetadata';

const CONSEQUENCES = {
  [LIST_SESSIONS]: "can't list its sessions",
  [READ_OWNER]: "can't report the owner that is stored with the session's data",
} as const;

type Required = keyof typeof CONSEQUENCES;

/** Why a server can't do what the method is for, and what to do; undefined if it can. */
export function limitationMessage({ name, limitations }: ServerView, method: Required): string | undefined {
  const found = limitations.find((limitation) => limitation.method === method);
  return found && `Server ${name} answers, but ${CONSEQUENCES[method]}: ${causeOf(found)}`;
}

/** Why the session is not deleted while its turn runs: deleted in the middle of it, the server would write its data again. */
export function turnRunsMessage(server: string, code: number): string {
  return `A turn of the session runs on server ${server}, which can't end it: ${causeOf({ method: 'sessions.close', code })} The session is deleted when the turn has ended.`;
}

/** Why the session can't be observed, although its server answers; undefined if the server has the method. */
export function limited(server: ServerView, method: Required): Unavailable | undefined {
  const message = limitationMessage(server, method);
  if (message === undefined) return undefined;
  const transient = server.limitations.every((found) => found.method !== method || found.code !== METHOD_NOT_FOUND);
  return { reason: SessionReadyReason.TenantUnavailable, message, transient };
}

function causeOf({ method, code }: Limitation): string {
  return code === METHOD_NOT_FOUND
    ? `its version lacks the method ${method}. Set spec.server.image of its tenant to an image with a version that has it.`
    : `it answered ${method} with error ${code}. The operator retries the request.`;
}
