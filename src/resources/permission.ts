/** How a permission that the operator lacks is reported, on tenants and sessions alike. */
import { isForbidden, isNamespaceTerminating, StatusError } from '../kube/types/errors.ts';
import type { Cause } from '../kube/write/conditions.ts';
import { isMissingPermission, serverMessage } from '../kube/write/refusal.ts';

/** The permission that a refused request lacks; undefined for any other error, a quota or a policy included. */
export function missingPermission(error: unknown): Cause<'Forbidden'> | undefined {
  if (!(error instanceof StatusError) || !isForbidden(error) || isNamespaceTerminating(error)) return undefined;
  const message = serverMessage(error);
  return isMissingPermission(message) ? lacksPermission(message) : undefined;
}

/** `message` is the API server's; `object` is what the request was about. */
export function lacksPermission(message: string, object?: string): Cause<'Forbidden'> {
  const what = object === undefined ? '' : ` for ${object}`;
  return {
    reason: 'Forbidden',
    message: `The operator lacks a permission${what}: ${message}. Compare its RBAC rules with those of the chart.`,
  };
}
