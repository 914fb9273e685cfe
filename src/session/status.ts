/** The status of a session: a pure function of what was observed and done. */
import { SessionConditionType } from '../api/session-conditions.ts';
import type { CopilotSessionStatus } from '../api/session.ts';
import { setConditions } from '../kube/write/conditions.ts';
import { timestamp } from '../kube/types/time.ts';
import type { Condition } from '../kube/types/types.ts';
import type { CopilotSession } from '../resources/session.ts';
import { readyVerdict, reconcilingVerdict, stalledVerdict } from './decisions/conditions.ts';
import { hasEnded, isSuccessor } from './decisions/phase.ts';
import { sessionIdOf } from '../resources/session-index.ts';
import type { Findings, Located } from './model.ts';

export interface StatusInput extends Omit<Findings, 'server'> {
  readonly session: CopilotSession;
  readonly located?: Located | undefined;
  /** Name of the server that has it, where `located` is one of several that list it. */
  readonly place?: string | undefined;
  /** The last activity to report, ms. */
  readonly lastActivity?: number | undefined;
  /** ms. */
  readonly expiresAt?: number | undefined;
  /** Whose turn it is; undefined: nobody's. */
  readonly lock?: CopilotSessionStatus['lock'] | undefined;
  /** Wall clock, ms. */
  readonly now: number;
}

/** The status of a session that was observed. What is unknown now stays as it was last reported. */
export function computeStatus(input: StatusInput): CopilotSessionStatus {
  const { session, located, place, phase, lastActivity, expiresAt, lock } = input;
  const before = isSuccessor(session, located) ? {} : (session.status ?? {});
  const gone = hasEnded(phase);
  // Without data there is nothing to have, whatever a server has in memory.
  const observed = located && (place ?? located.server.name);
  const server = observed ?? (gone ? undefined : before.server);
  // 0 until the server has reported it.
  const sizeBytes = located?.facts.sizeBytes || (gone ? undefined : before.sizeBytes);
  const usage = located?.facts.usage ?? before.usage;
  return {
    ...commonFields(input, server),
    ...(phase !== undefined && { phase }),
    ...(server !== undefined && { server }),
    ...(lastActivity !== undefined && { lastActivityTime: timestamp(lastActivity) }),
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(usage !== undefined && { usage }),
    ...(expiresAt !== undefined && !gone && { expiresAt: timestamp(expiresAt) }),
    ...(lock !== undefined && !gone && { lock }),
  };
}

/** The status of a session that could not be observed: what was last reported of its data stays. */
export function unobservedStatus(input: StatusInput): CopilotSessionStatus {
  const { session, lock } = input;
  const { lock: _before, ...kept } = session.status ?? {};
  return { ...kept, ...commonFields(input, session.status?.server), ...(lock !== undefined && { lock }) };
}

/** The status of a resource that does not hold its session: the data under its id is not its own. */
export function emptyStatus(input: StatusInput): CopilotSessionStatus {
  return commonFields(input, undefined);
}

function commonFields(input: StatusInput, server: string | undefined): CopilotSessionStatus {
  const { session } = input;
  const { generation } = session.metadata;
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    conditions: conditions(input, server),
    sessionId: sessionIdOf(session),
  };
}

function conditions(input: StatusInput, server: string | undefined): Condition[] {
  const { session, now } = input;
  const found: Findings = { ...input, server };
  return setConditions(
    session.status?.conditions,
    [
      [SessionConditionType.Ready, readyVerdict(found)],
      [SessionConditionType.Reconciling, reconcilingVerdict(found)],
      [SessionConditionType.Stalled, stalledVerdict(found)],
    ],
    session.metadata.generation,
    now,
  );
}
