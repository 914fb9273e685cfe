/** A session as the operator reads it, without a cluster. */
import { API_VERSION, COPILOT_SESSION } from '../../src/api/names.ts';
import { sessionSpec, type CopilotSessionSpecInput } from '../../src/api/session.ts';
import type { ObjectMeta } from '../../src/kube/types/types.ts';
import type { CopilotSession } from '../../src/resources/session.ts';
import { answerOf, sessionFacts } from './fake-sessions.ts';
import type { ServerSessions, SessionFacts } from '../../src/servers/survey/sessions.ts';
import type { Located, ServerView } from '../../src/session/model.ts';

/** When the sample session was created. */
export const CREATED = Date.parse('2026-01-02T03:00:00Z');

/** Session `alpha` of tenant `acme` in namespace `team`, with every default that the API server would fill in. */
export function sampleSession(
  spec: Partial<CopilotSessionSpecInput> = {},
  metadata: Partial<ObjectMeta> = {},
  status?: CopilotSession['status'],
): CopilotSession {
  return {
    apiVersion: API_VERSION,
    kind: COPILOT_SESSION.kind,
    metadata: {
      name: 'alpha',
      namespace: 'team',
      uid: 'uid-of-alpha',
      generation: 1,
      creationTimestamp: '2026-01-02T03:00:00Z',
      ...metadata,
    },
    spec: sessionSpec.parse({ tenantRef: { name: 'acme' }, ...spec }),
    ...(status && { status }),
  };
}

/** Server `acme-<index>`, which is meant to run and answers with no session, but for the given fields. */
export function serverView(index = 0, seen: Partial<ServerView> = {}): ServerView {
  return {
    index,
    name: `acme-${index}`,
    key: `team/acme-${index}`,
    volume: { claim: `acme-${index}`, index },
    runState: 'Expected',
    surplus: false,
    answer: answerOf(CREATED),
    limitations: [],
    ...seen,
  };
}

/** The session `alpha` on server acme-0. */
export function located(facts: Partial<SessionFacts> = {}, answer?: ServerSessions): Located {
  const found = sessionFacts('alpha', { lastActivityTime: CREATED, ...facts });
  return { server: serverView(0, { answer: answer ?? answerOf(CREATED, found) }), facts: found };
}
