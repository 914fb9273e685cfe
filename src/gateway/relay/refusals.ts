/** What the relay itself answers to clients. */
import { METHOD_NOT_FOUND, formatError, type RequestId } from '../../copilot/index.ts';
import type { ParamRefusal } from '../model.ts';

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
  return formatError(id, UNAVAILABLE, `the server of tenant ${tenant} ${what}; try again`, {
    retryable: true,
    retryAfterMs,
    outcome: sent ? 'Unknown' : 'NotSent',
  });
}
