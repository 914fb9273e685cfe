/** The answer to `ping`, which the gateway gives itself: it asks whether the other side answers, and must wake no server. */
import { formatAnswer, isObject, type RequestId } from '../copilot/index.ts';

/** What the servers of the supported CLI speak. */
export const PROTOCOL_VERSION = 3;

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
