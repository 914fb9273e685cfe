/** CopilotSession as a resource of the client. */
import { COPILOT_SESSION } from '../api/names.ts';
import type { CopilotSession as CopilotSessionOf } from '../api/session.ts';
import { defineResource } from '../kube/types/resource.ts';
import type { KubeObject } from '../kube/types/types.ts';

/** The session as it is in the API. Type and resource share a name, as with the built-in kinds of src/kube. */
export type CopilotSession = CopilotSessionOf<KubeObject>;
export const CopilotSession = defineResource<CopilotSession>(COPILOT_SESSION);
