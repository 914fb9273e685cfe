/** Stores the owner of a session beside its data. */
import type { Logger } from 'pino';
import { RpcError } from '../copilot/errors.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { CopilotSession } from '../resources/session.ts';
import { labelInterval, missingLabels } from './decisions/labels.ts';
import { sessionIdOf } from '../resources/session-index.ts';
import { isGivenUp, withTimeout } from '../servers/call-timeout.ts';
import type { SessionStates } from './session-state.ts';
import type { Located } from './model.ts';

export interface LabellerOptions {
  readonly source: Pick<SessionSource, 'label'>;
  readonly states: SessionStates;
  readonly clock: Clock;
}

/**
 * Stores the owner of a session beside its data, so that it is known when the resource is lost. A server can do that only while the
 * session is loaded; otherwise it is done at the next load.
 */
export class Labeller {
  readonly #options: LabellerOptions;

  constructor(options: LabellerOptions) {
    this.#options = options;
  }

  /** Returns when to try again, in ms; undefined when there is nothing to do now. */
  async label(
    session: CopilotSession,
    { server, facts }: Located,
    { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
  ): Promise<number | undefined> {
    const { source, states, clock } = this.#options;
    const labels = missingLabels(session, facts);
    if (labels === undefined) return undefined;
    const state = states.of(session);
    const { generation } = session.metadata;
    // Labels of a changed spec may be accepted at once.
    const { labelsRefused: before } = state;
    const refusals = before !== undefined && before.generation === generation ? before.times : 0;
    const wait = (state.labelledAt ?? -Infinity) + labelInterval(refusals) - clock.monotonic();
    if (wait > 0) return wait;
    state.labelledAt = clock.monotonic();
    try {
      await withTimeout(clock, source.label(server.key, sessionIdOf(session), labels), signal);
      delete state.labelsRefused;
      return undefined;
    } catch (error) {
      if (isGivenUp(error, signal)) throw error;
      // The session works without them: they are for a person who recovers the data later.
      log.warn({ err: error, server: server.name }, 'failed to store the owner of a session');
      const times = error instanceof RpcError ? refusals + 1 : refusals;
      state.labelsRefused = { generation, times };
      return labelInterval(times);
    }
  }
}
