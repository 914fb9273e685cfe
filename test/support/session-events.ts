import type { TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

/** Waits for an event of a session with this reason, also of a deleted one, whose last event outlives it. */
export function sessionEvent(namespace: TestNamespace, session: string, reason: string) {
  const find = async () => (await namespace.events(session, 'CopilotSession')).find((event) => event.reason === reason);
  return waitFor(`an event ${reason} of session ${session}`, find, { everyMs: 200 });
}
