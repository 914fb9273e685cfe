/** What may be known of sessions and servers from outside. */
import { fromKey } from '../../../kube/types/types.ts';
import type { HeldTurn, ServerPlaces } from '../../../resources/gateway-internal.ts';
import type {
  DrainProgress,
  ServerSummary,
  StatedDrain,
  SessionState,
  SessionSummary,
  TenantRef,
} from '../../model.ts';
import type { Home } from '../home/home.ts';
import type { Session } from '../session/session.ts';

/** `server`: its key. */
export function sessionSummary(tenant: TenantRef, server: string, session: Session): SessionSummary {
  const { id, since, turn, questions, events } = session;
  return {
    tenant,
    server,
    id,
    since,
    state: stateOf(session),
    clients: Array.from(session.clients, (client) => client.id),
    heldPrompts: turn.heldCount,
    openQuestions: questions.size,
    eventBytes: events.bytes,
  };
}

/** Whose its turn is, of a session that several users work on, and that one of them has; `now`: ms since the epoch. */
export function heldTurns({ namespace, name }: TenantRef, session: Session, now: number): HeldTurn[] {
  const { id, turn, turnRule } = session;
  const { client, since = now } = turn.holder ?? {};
  if (turnRule === undefined || client?.user === undefined) return [];
  const heldMs = Math.max(0, Math.floor(now - since));
  return [{ namespace, name, session: id, holder: client.user, epoch: turn.epoch, heldMs }];
}

/** Which sessions the server has, of a tenant whose servers share a volume: of others the volume says it. */
export function serverPlaces({ namespace, name }: TenantRef, { key, fence, sessions: all }: Home): ServerPlaces[] {
  if (fence === undefined || key === '') return [];
  const sessions = [...all].filter(({ load }) => load.hasPlace).map(({ id }) => id);
  return sessions.length === 0 ? [] : [{ namespace, name, server: fromKey(key).name, sessions }];
}

export function serverSummary(tenant: TenantRef, { key, upstream }: Home): ServerSummary {
  return { tenant, server: key, state: upstream.state, calls: upstream.callCount };
}

/** `homes`: of the drained server. Without one this process has nothing to do with it. */
export function drainSummary(
  tenant: TenantRef,
  drain: StatedDrain,
  homes: readonly Pick<Home, 'drainProgress'>[],
): DrainProgress {
  const { server, epoch } = drain;
  const progress = homes.map((home) => home.drainProgress(drain));
  const turns = progress.reduce((sum, each) => sum + each.turns, 0);
  return { tenant, server, epoch, turns, isDrained: progress.every(({ isDrained }) => isDrained) };
}

/** What somebody has to do comes first: a turn that waits for its clients runs, too. */
export function stateOf({ isLoaded, turn, questions }: Session): SessionState {
  if (questions.size > 0) return 'Waiting';
  if (turn.isBusy) return 'Running';
  return isLoaded ? 'Idle' : 'Unloaded';
}
