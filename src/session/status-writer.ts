/** Writes the status of sessions. */
import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGER } from '../api/names.ts';
import type { CopilotSessionStatus } from '../api/session.ts';
import type { KubeClient } from '../kube/client/client.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import type { RecentWrites } from '../kube/write/recent-writes.ts';
import { writeStatus } from '../kube/write/status.ts';
import { CopilotSession } from '../resources/session.ts';
import { missingPermission } from '../resources/permission.ts';
import { writeDelay } from './decisions/write-delay.ts';
import type { SessionStates } from './session-state.ts';
import { transitions } from './transitions.ts';

/** Until a forbidden request is tried again, in ms: with back-off it could take a quarter of an hour. */
export const FORBIDDEN_RETRY_MS = 45_000;
/** Until the cache shows what a write conflicted with, in ms. */
const CONFLICT_RETRY_MS = 200;

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly recent: RecentWrites;
  readonly states: SessionStates;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly clock: Clock;
}

/** Writes statuses, no more often than users act on them, and records the events of their transitions. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Returns when to try again what was not written now, in ms; undefined when nothing is left to write. */
  async write(session: CopilotSession, status: CopilotSessionStatus, signal: AbortSignal): Promise<number | undefined> {
    if (isDeepStrictEqual(session.status, status)) return undefined;
    const { client, recent, states, recorder, clock } = this.#options;
    const state = states.of(session);
    const delay = writeDelay(session.status, status, state.statusWrittenAt, clock.monotonic());
    if (delay > 0) return delay;
    try {
      const write = { client, recent, fieldManager: FIELD_MANAGER };
      const outcome = await writeStatus(write, CopilotSession, session, status, signal);
      if (outcome === 'conflict') return CONFLICT_RETRY_MS;
      if (outcome !== 'written') return undefined;
    } catch (error) {
      // The status can't be written, so an event has the cause.
      const cause = missingPermission(error);
      if (cause === undefined) throw error;
      recorder.event(session, 'Warning', cause.reason, cause.message);
      return FORBIDDEN_RETRY_MS;
    }
    state.statusWrittenAt = clock.monotonic();
    for (const { type, reason, message } of transitions(session.status, status)) {
      recorder.event(session, type, reason, message);
    }
    return undefined;
  }
}
