/** What may be known of sessions and servers from outside. */
import type { ServerSummary, SessionState, SessionSummary, TenantRef } from '../model.ts';
import type { Home } from './home.ts';
import type { Session } from './session.ts';

/** `server`: its key. */
export function sessionSummary(tenant: TenantRef, server: string, session: Session): SessionSummary {
  const { id, since, turn, openQuestions, eventBytes, isLoaded } = session;
  return {
    tenant,
    server,
    id,
    since,
    state: sessionState({ isLoaded, isBusy: turn.isBusy, openQuestions }),
    clients: Array.from(session.clients, (client) => client.id),
    heldPrompts: turn.heldCount,
    openQuestions,
    eventBytes,
  };
}

export function serverSummary(tenant: TenantRef, { key, upstream }: Home): ServerSummary {
  return { tenant, server: key, state: upstream.state, calls: upstream.callCount };
}

interface SessionFacts {
  readonly isLoaded: boolean;
  readonly isBusy: boolean;
  readonly openQuestions: number;
}

/** What somebody has to do comes first: a turn that waits for its clients runs, too. */
function sessionState({ isLoaded, isBusy, openQuestions }: SessionFacts): SessionState {
  if (openQuestions > 0) return 'Waiting';
  if (isBusy) return 'Running';
  return isLoaded ? 'Idle' : 'Unloaded';
}
