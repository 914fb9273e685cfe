/** What the gateway says to the operator, over HTTP on the operator's internal port. */
import { isObject } from '../copilot/index.ts';
import type { NamespacedName } from '../kube/types/types.ts';

/** The audience of tokens for the operator's internal port. They are worth nothing anywhere else. */
export const OPERATOR_AUDIENCE = 'copilot-operator-internal';

/** `POST /wakes`: which sleeping tenants clients of this replica wait for. It takes the verb `create` on `gateways/wakes`. */
export const WAKES_PATH = '/wakes';

/** A tenant that clients wait for. */
export interface WakeAsk extends NamespacedName {
  /** Of `status.hibernation`, as the gateway knows it: what was asked before a change says nothing about what is asked after it. */
  readonly epoch: number;
}

/** Largest body of a request, in bytes: a tenant takes at most 400. */
export const MAX_WAKES_BYTES = 4 * 1024 * 1024;

/** The body of `POST /wakes`. @throws Error for anything else */
export function parseWakeAsks(text: string): WakeAsk[] {
  const body: unknown = JSON.parse(text);
  const tenants = isObject(body) ? body['tenants'] : undefined;
  if (!Array.isArray(tenants)) throw new Error('the request has no list of tenants');
  return tenants.map((entry: unknown) => {
    const { namespace, name, epoch } = isObject(entry) ? entry : {};
    if (typeof namespace !== 'string' || typeof name !== 'string' || !Number.isSafeInteger(epoch)) {
      throw new Error('an entry of the request is no tenant with an epoch');
    }
    return { namespace, name, epoch: epoch as number };
  });
}
