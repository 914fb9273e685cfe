import type { TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

/** Waits for the event of a session with this reason: also of one that is gone, and that its last event outlives. */
export function sessionEvent(namespace: TestNamespace, session: string, reason: string) {
  const look = async () => (await namespace.events(session, 'CopilotSession')).find((event) => event.reason === reason);
  return waitFor(`an event ${reason} of session ${session}`, look, { everyMs: 200 });
}
