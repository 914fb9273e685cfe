/** What the relay itself answers to clients. */
import { METHOD_NOT_FOUND, formatError, type RequestId } from '../../copilot/index.ts';
import type { ParamRefusal, TenantRef } from '../model.ts';
import { pausedMessage } from '../pauses.ts';
import type { Withdrawal } from './model.ts';

const INVALID_REQUEST = -32600;
const INVALID_PARAMS = -32602;
const TOO_MANY_REQUESTS = -32000;
/**
 * The server could not be reached, or was lost before it answered. In `data`: `retryable`, `retryAfterMs`, and `outcome`,
 * which is `NotSent` if the server has certainly not seen the request, else `Unknown`.
 */
export const UNAVAILABLE = -32050;

/** The session cannot be loaded again as its clients had set it up. In `data`: `retryable`, which is false. */
export const NOT_RESTORED = -32051;

/** The login of the tenant's model cannot be read. In `data`: `retryable`, which is true, and the condition of the tenant that says why. */
export const MODEL_UNAVAILABLE = -32052;

/** The user has as many sessions as the tenant allows. In `data`: `retryable`, which is false, the name of the rule, its field and its value. */
export const USER_FULL = -32053;

/** The prompt was given up on purpose. In `data`: `retryable`, which is false, the `rule`, which is why, and the `outcome` as in {@link UNAVAILABLE}. */
export const CANCELLED = -32054;

/** Nobody waits for it every moment. */
const PAUSED_RETRY_AFTER_MS = 5_000;
/** What it needs is taken, for which it has waited already: turns take seconds. */
const TAKEN = { retryable: true, retryAfterMs: 5_000, outcome: 'NotSent' };

/** The field that says how users share the turns of a session. */
const TURNS_FIELD = 'spec.collaboration.turns';

/** Characters of a method's name that are repeated to who sent it. */
const LONGEST_NAME = 128;

/** As the server answers a method that it does not have; SDKs fall back on this. */
export function unhandled(id: RequestId, method: string): string {
  const { code, message } = unknownMethod(method).error;
  return formatError(id, code, message);
}

/** The same as an answer to a request of the server. */
export function unknownMethod(method: string): { readonly error: { readonly code: number; readonly message: string } } {
  return { error: { code: METHOD_NOT_FOUND, message: `Unhandled method ${method.slice(0, LONGEST_NAME)}` } };
}

export function invalid(id: RequestId, found: string): string {
  return formatError(id, INVALID_REQUEST, `expected a JSON-RPC request, found ${found}`);
}

/** In `data`: the name of the rule, and the path of the parameter. */
export function refusedParam(id: RequestId, { reason, parameter, message }: ParamRefusal): string {
  return formatError(id, INVALID_PARAMS, message, { rule: reason, parameter });
}

/** In the tenants whose users are kept apart. The one answer that shows that an id is in use: no other one could be given. */
export function idTaken(id: RequestId): string {
  const message = 'the session id is in use or reserved; choose another one, or leave "sessionId" out';
  return formatError(id, INVALID_PARAMS, message, { rule: 'SessionIdTaken', parameter: 'sessionId' });
}

export function noSessionId(id: RequestId, method: string): string {
  return formatError(
    id,
    INVALID_PARAMS,
    `"sessionId" of ${method.slice(0, LONGEST_NAME)} must be the id of a session: letters, digits, _ and -`,
  );
}

export function tooMany(id: RequestId, what: string): string {
  return formatError(id, TOO_MANY_REQUESTS, `${what}; wait for some of them and try again`);
}

/** For clients of a tenant whose login the gateway gives to sessions. */
export function modelUnavailable(id: RequestId, why: string): string {
  return formatError(id, MODEL_UNAVAILABLE, why, { retryable: true, condition: 'ModelConfigured' });
}

/** For a prompt in a tenant that is paused. */
export function tenantPaused(id: RequestId, tenant: TenantRef): string {
  const data = { retryable: true, retryAfterMs: PAUSED_RETRY_AFTER_MS, outcome: 'NotSent' };
  return formatError(id, UNAVAILABLE, pausedMessage(tenant), data);
}

/** For a user of a tenant with `spec.sessions.maxPerUser`. */
export function userFull(id: RequestId, max: number): string {
  const field = 'spec.sessions.maxPerUser';
  const message = `the user has ${max} sessions, as many as ${field} of the tenant allows; delete one of them, or have the limit raised`;
  return formatError(id, USER_FULL, message, { retryable: false, rule: 'MaxPerUser', field, limit: max });
}

/** For a session that is not loaded, of a tenant with `spec.sessions.maxConcurrent`. */
export function sessionsFull(id: RequestId, max: number): string {
  const field = 'spec.sessions.maxConcurrent';
  const message = `all ${max} sessions that ${field} of the tenant allows in the memory of a server are in use; try again, end one of them, or have the limit raised`;
  return formatError(id, UNAVAILABLE, message, { ...TAKEN, rule: 'MaxConcurrent', field, limit: max });
}

/** For a prompt in a tenant with `spec.sessions.maxConcurrentTurns`. */
export function turnsFull(id: RequestId, max: number): string {
  const field = 'spec.sessions.maxConcurrentTurns';
  const message = `the server runs all ${max} turns that ${field} of the tenant allows, and too many prompts wait for one; try again, or have the limit raised`;
  return formatError(id, UNAVAILABLE, message, { ...TAKEN, rule: 'MaxConcurrentTurns', field, limit: max });
}

/** For a prompt in a session with `spec.collaboration.turns: Refuse`. `since`: ms since the epoch. */
export function sessionInUse(id: RequestId, holder: string, since: number): string {
  const at = new Date(since).toISOString();
  const message = `the session is in use by ${holder} since ${at} (${TURNS_FIELD} of its CopilotSession); try again when the turn has ended`;
  return formatError(id, UNAVAILABLE, message, {
    ...TAKEN,
    rule: 'SessionInUse',
    field: TURNS_FIELD,
    holder,
    since: at,
  });
}

const WITHDRAWN: Readonly<Record<Withdrawal, string>> = {
  Aborted: 'the prompt was taken back by an abort while it waited for its turn',
  Left: 'the client has left the session while its prompt waited for its turn',
  SessionDeleted: 'the session was deleted while the prompt waited',
};

/** For a prompt that waited, and that nobody wants any more. */
export function promptWithdrawn(id: RequestId, why: Withdrawal, sent: boolean): string {
  const outcome = sent ? 'Unknown' : 'NotSent';
  return formatError(id, CANCELLED, WITHDRAWN[why], { retryable: false, rule: why, outcome });
}

/** For clients of a session of which less than all restrictions could be told to the server again. */
export function notRestored(id: RequestId, why: string): string {
  const remedy = 'create another session, or delete this one and create it again';
  return formatError(
    id,
    NOT_RESTORED,
    `the session cannot be loaded again as its clients had set it up: ${why}; ${remedy}`,
    {
      retryable: false,
    },
  );
}

export function unavailable(id: RequestId, tenant: string, sent: boolean, retryAfterMs: number): string {
  const what = sent ? 'was lost before it answered' : 'cannot be reached now';
  const outcome = sent ? 'Unknown' : 'NotSent';
  return notAnswered(id, `the server of tenant ${tenant} ${what}; try again`, outcome, retryAfterMs);
}

/** For a session whose server is away, of a tenant with several. */
export function away(id: RequestId, why: string, retryAfterMs: number): string {
  return notAnswered(id, why, 'NotSent', retryAfterMs);
}

/** For a session that another server may have in memory, of a tenant whose servers share a volume. */
export function fenced(id: RequestId, why: string): string {
  const message = `the session cannot be loaded now: ${why}; try again`;
  return formatError(id, UNAVAILABLE, message, { ...TAKEN, rule: 'Fenced' });
}

/** For a session of such a tenant while the coordination store is away. */
export function coordinationAway(id: RequestId, why: string): string {
  const message = `the session cannot be loaded now, because no server can be told to: ${why}; try again`;
  return formatError(id, UNAVAILABLE, message, { ...TAKEN, rule: 'CoordinationAway' });
}

function notAnswered(id: RequestId, message: string, outcome: 'NotSent' | 'Unknown', retryAfterMs: number): string {
  return formatError(id, UNAVAILABLE, message, { retryable: true, retryAfterMs, outcome });
}
