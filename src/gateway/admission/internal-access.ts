/** Who may ask on the internal port: a Kubernetes token of its own audience, whose user has the right in the gateway's namespace. */
import { toError } from '../../kube/types/errors.ts';
import { INTERNAL_AUDIENCE, type InternalRight } from '../../resources/gateway-internal.ts';
import type { Reviews } from './reviews.ts';

/** Whose request may be answered, or why it may not: an HTTP status, and a sentence with the remedy. */
export type InternalDecision =
  { readonly user: string } | { readonly status: 401 | 403 | 503; readonly message: string };

/** Decides by token. */
export interface InternalAccess {
  /** It never rejects. */
  decide(token: string, right: InternalRight): Promise<InternalDecision>;
}

/** `reviews` are those for tokens with this audience; `namespace` is the gateway's, which is the operator's. */
export function internalAccess(
  reviews: Reviews,
  namespace: string,
  audience: string = INTERNAL_AUDIENCE,
): InternalAccess {
  return {
    decide: async (token, right) => {
      try {
        const user = await reviews.authenticate(token, 'Newcomer');
        if ('problem' in user) {
          return { status: 401, message: `${user.problem}: create one for the audience ${audience}` };
        }
        if (await reviews.isAllowed(user, { namespace, ...right }, 'Newcomer')) return { user: user.name };
        const { verb, view } = right;
        return {
          status: 403,
          message: `the user needs the verb ${verb} on gateways/${view} in namespace ${namespace}`,
        };
      } catch (error) {
        return { status: 503, message: `the token cannot be reviewed: ${toError(error).message}` };
      }
    },
  };
}
