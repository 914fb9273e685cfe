import { SessionStalledReason } from '../../api/session-conditions.ts';
import { isForbidden, isNamespaceTerminating, StatusError } from '../../kube/types/errors.ts';
import type { Cause } from './cause.ts';

/** The permission that a refused request lacks; undefined for any other error, a quota or a policy included. */
export function missingRight(error: unknown): Cause | undefined {
  if (!(error instanceof StatusError) || !isForbidden(error) || isNamespaceTerminating(error)) return undefined;
  if (!/\bcannot (get|create|update|patch|delete|list|watch) resource\b/.test(error.message)) return undefined;
  return {
    reason: SessionStalledReason.Forbidden,
    message: `The operator lacks a permission: ${saidBy(error)}. Compare its roles with those of its chart.`,
  };
}

/** What the API server said, without the request and the code around it. */
export function saidBy(error: StatusError): string {
  return error.message.replace(`${error.method} ${error.path}: `, '').replace(/ \(\d+( \w+)?\)$/, '');
}
