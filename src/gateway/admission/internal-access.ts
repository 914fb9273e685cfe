/** Who may ask on the internal port: a Kubernetes token of its own audience, whose user has the right in the gateway's namespace. */
import { toError } from '../../kube/types/errors.ts';
import { INTERNAL_AUDIENCE, type InternalView } from '../../resources/gateway-internal.ts';
import type { Reviews } from './reviews.ts';

/** The request may be answered, or why not: an HTTP status, and a sentence with the remedy. */
export type InternalDecision = 'Allowed' | { readonly status: 401 | 403 | 503; readonly message: string };

/** Decides by token. */
export interface InternalAccess {
  /** It never rejects. */
  decide(token: string, view: InternalView): Promise<InternalDecision>;
}

/** `reviews` are those for {@link INTERNAL_AUDIENCE}; `namespace` is the gateway's. */
export function internalAccess(reviews: Reviews, namespace: string): InternalAccess {
  return {
    decide: async (token, view) => {
      try {
        const user = await reviews.authenticate(token, 'Newcomer');
        if ('problem' in user) {
          return { status: 401, message: `${user.problem}: create one for the audience ${INTERNAL_AUDIENCE}` };
        }
        if (await reviews.isAllowed(user, { namespace, view }, 'Newcomer')) return 'Allowed';
        return { status: 403, message: `the user needs the verb get on gateways/${view} in namespace ${namespace}` };
      } catch (error) {
        return { status: 503, message: `the token cannot be reviewed: ${toError(error).message}` };
      }
    },
  };
}
