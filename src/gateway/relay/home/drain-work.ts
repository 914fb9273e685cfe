/** What a drain does with the sessions of a home. */
import { unquotedMessageOf } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { AUDITED } from '../../model.ts';
import type { DrainWork } from './drain.ts';
import type { Failover } from '../failover/failover.ts';
import type { RelayLimits, RelayLog } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Moves, MovingHome } from './moves.ts';
import type { SessionCalls } from './session-calls.ts';
import type { Unloading } from './unloading.ts';
import type { Session } from '../session/session.ts';
import type { Upstream } from '../server/upstream.ts';
import { hasTurnToEnd } from '../session/under-way.ts';

/** What of a home is drained. */
export interface DrainedHome {
  readonly key: string;
  readonly sessions: Iterable<Session>;
  readonly upstream: Pick<Upstream, 'state' | 'callCount' | 'disconnect' | 'dropEvents'>;
  readonly calls: Pick<SessionCalls, 'own'>;
  readonly unloading: Pick<Unloading, 'activity'>;
  readonly failover: Pick<Failover, 'load'>;
  readonly drain: { readonly comesBack: boolean };
  readonly moves: Pick<Moves<MovingHome>, 'moveOn' | 'leaveAll'>;
}

/** Of the options of a home. */
export interface DrainWorkOptions {
  readonly clock: Clock;
  readonly limits: RelayLimits;
  readonly observer: Pick<RelayObserver, 'drainEnded'>;
  readonly log: RelayLog;
}

/** The work of draining this home. It is asked for its parts when they are needed. */
export function drainWork(home: DrainedHome, { clock, limits, observer, log }: DrainWorkOptions): DrainWork {
  return {
    clock,
    limits,
    countTurns: () => countTurns(home),
    closeSessions: (isDraining) =>
      Promise.all(Array.from(home.sessions, (session) => moveOut(home, session, isDraining))),
    isConnected: () => home.upstream.state !== 'Disconnected',
    openCalls: () => home.upstream.callCount,
    disconnect: () => {
      // Before the connection: who waits for it must not wait for a server that is not to come.
      if (!home.drain.comesBack) home.moves.leaveAll();
      home.upstream.disconnect();
    },
    onServing: () => moveIn(home, log),
    onEnd: (end) => {
      observer.drainEnded(end);
      log.info({ ...AUDITED, server: home.key, end }, 'the drain of a server has ended');
    },
  };
}

/** What the server does that must end before its pod is replaced. */
async function countTurns(home: DrainedHome): Promise<number> {
  const loaded = [...home.sessions].filter(({ isLoaded }) => isLoaded);
  const turns = loaded.filter(hasTurnToEnd).length;
  if (turns > 0) return turns;
  // Background tasks, and a prompt of which there is no event yet. What waits for a permission goes on elsewhere.
  const idle = loaded.filter(({ turn }) => !turn.isRunning);
  const found = await Promise.all(idle.map((session) => session.exclusively(() => home.unloading.activity(session))));
  return found.filter((activity) => activity === 'Active').length;
}

async function moveOut(home: DrainedHome, session: Session, isDraining: () => boolean): Promise<void> {
  await session.exclusively(async () => {
    // While this waited it may have been loaded by the next pod.
    if (!session.isLoaded || !isDraining()) return;
    const moved = home.moves.moveOn(session);
    if (moved !== undefined) return moved;
    await session.moved(() => home.calls.own('sessions.close', { sessionId: session.id }));
    home.upstream.dropEvents(session.id);
  });
}

/** Sessions are loaded when they are used, but those with a turn that was cut, or waits for a permission, at once. */
function moveIn(home: DrainedHome, log: RelayLog): void {
  for (const session of home.sessions) {
    if (!session.isLost || !session.wasTaken) continue;
    session
      .exclusively(() => home.failover.load(session))
      .catch((error: unknown) => {
        log.info({ server: home.key, error: unquotedMessageOf(error) }, 'a session could not be loaded after a drain');
      });
  }
}
