/** Answers that the gateway gives itself: `ping` asks whether the other side answers, `status.get` which version it has, and both must wake no server. */
import { formatAnswer, isObject, type RequestId } from '../copilot/index.ts';

/** What the servers of the supported CLI speak. */
export const PROTOCOL_VERSION = 3;
/** The version that servers have unless the tenant says otherwise: at the time of the answer none need run. */
export const SERVER_VERSION = '1.0.102';

/** The body of the answer. `now`: ms since the epoch. */
export function pong(id: RequestId, params: unknown, now: number): string {
  const message = isObject(params) ? params['message'] : undefined;
  const text = typeof message === 'string' ? `pong: ${message}` : 'pong';
  return formatAnswer(id, {
    message: text,
    timestamp: new Date(now).toISOString(),
    protocolVersion: PROTOCOL_VERSION,
  });
}

/** The body of the answer to `status.get` while no server runs: what `connect` says, too. */
export function serverStatus(id: RequestId): string {
  return formatAnswer(id, { version: SERVER_VERSION, protocolVersion: PROTOCOL_VERSION });
}
