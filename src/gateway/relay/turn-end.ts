/** The events that end the waits of SDKs for a turn that will not end by itself. */
import { formatNotification } from '../../copilot/index.ts';

/** An event as the clients of a session get it. */
export interface MadeEvent {
  readonly type: string;
  /** Of its frame. */
  readonly body: string;
}

/** `session.error` and `session.idle`. `what` happened to the turn, as the beginning of a sentence. */
export function turnEnd(
  sessionId: string,
  what: string,
  { newId, clock }: { readonly newId: () => string; readonly clock: { now(): number } },
): readonly MadeEvent[] {
  const made = (type: string, data: object): MadeEvent => {
    const timestamp = new Date(clock.now()).toISOString();
    const event = { type, data, ephemeral: true, id: newId(), timestamp, parentId: null };
    return { type, body: formatNotification('session.event', { sessionId, event }) };
  };
  const message = `${what} in the middle of the turn; send the prompt again.`;
  return [made('session.error', { errorType: 'gateway', message }), made('session.idle', {})];
}
