import type { Logger } from 'pino';
import { RpcError } from '../copilot/errors.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import type { Clock } from '../kube/clock/clock.ts';
import type { CopilotSession } from '../resources/session.ts';
import { labelInterval, missingLabels } from './decisions/labels.ts';
import { sessionIdOf } from '../resources/session-index.ts';
import { withTimeout } from './call-timeout.ts';
import type { SessionStates } from './session-state.ts';
import type { Located } from './model.ts';

export interface LabellerOptions {
  readonly source: Pick<SessionSource, 'label'>;
  readonly states: SessionStates;
  readonly clock: Clock;
}

/**
 * Stores beside a session's data whose it is, so that it is known when the resource is lost. A server can do that only
 * while the session is loaded: for one that is not, it waits for the next load.
 */
export class Labeller {
  readonly #options: LabellerOptions;

  constructor(options: LabellerOptions) {
    this.#options = options;
  }

  /** Returns when to try again, in ms; undefined when nothing is left to do now. */
  async label(session: CopilotSession, { server, facts }: Located, log: Logger): Promise<number | undefined> {
    const { source, states, clock } = this.#options;
    const labels = missingLabels(session, facts);
    if (labels === undefined) return undefined;
    const state = states.of(session);
    const { generation } = session.metadata;
    // Other words may be taken at once.
    const { labelsRefused: before } = state;
    const refusals = before !== undefined && before.generation === generation ? before.times : 0;
    const wait = (state.labelledAt ?? -Infinity) + labelInterval(refusals) - clock.now();
    if (wait > 0) return wait;
    state.labelledAt = clock.now();
    try {
      await withTimeout(clock, source.label(server.key, sessionIdOf(session), labels));
      delete state.labelsRefused;
      return undefined;
    } catch (error) {
      // The session works without: this is for those who look for its owner later.
      log.warn({ err: error, server: server.name }, 'a server did not store whose a session is');
      const times = error instanceof RpcError ? refusals + 1 : refusals;
      state.labelsRefused = { generation, times };
      return labelInterval(times);
    }
  }
}
