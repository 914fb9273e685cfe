/** Decides the cause when the API server or a policy refused an object. */
import { StalledReason } from '../../api/conditions.ts';
import { OtherVersionError } from '../../kube/cache/availability.ts';
import { isForbidden, isInvalid, isNamespaceTerminating, StatusError } from '../../kube/types/errors.ts';
import { isMissingPermission, serverMessage } from '../../kube/write/refusal.ts';
import { lacksPermission } from '../../resources/permission.ts';
import { withoutPodName } from '../../resources/quote.ts';
import type { TenantCause } from '../model.ts';
import { builtinRefusal, creationFailure, type RefusalOptions } from './pod-refusal.ts';

/**
 * Why the API server refused an object; undefined if the error is not a refusal (a conflict, a timeout, a 500), so that a
 * retry can succeed.
 */
export function refusalOfRequest(error: unknown, object: string): TenantCause | undefined {
  if (error instanceof OtherVersionError) return { reason: StalledReason.Forbidden, message: `${error.message}.` };
  if (!(error instanceof StatusError)) return undefined;
  if (isNamespaceTerminating(error)) {
    return {
      reason: StalledReason.NamespaceTerminating,
      message: `${object} cannot be created: the namespace is being deleted, and the tenant with it.`,
    };
  }
  const text = serverMessage(error);
  if (isForbidden(error) || isInvalid(error) || deniedByWebhook.test(text)) return refusalOfMessage(text, object);
  return undefined;
}

/**
 * The same for a refusal that another controller received when it tried to create `object`: only its message is known,
 * from the condition ReplicaFailure of a Deployment or an event of a Job. `options`: see {@link builtinRefusal}.
 */
export function refusalOfMessage(text: string, object: string, options?: RefusalOptions): TenantCause {
  const what = withoutPodName(text);
  // Policies and webhooks choose their own texts and status codes, and may quote others.
  if (deniedByWebhook.test(what) || /ValidatingAdmissionPolicy/.test(what)) return denied(what, object);
  const builtin = builtinRefusal(what, object, options) ?? creationFailure(what, object);
  if (builtin !== undefined) return builtin;
  if (isMissingPermission(what)) return lacksPermission(what, object);
  if (/only dynamically provisioned pvc can be resized/.test(what)) {
    return {
      reason: StalledReason.VolumeNotExpandable,
      message: `${object} cannot be expanded: its StorageClass does not allow expansion. Revert spec.storage.size, or set allowVolumeExpansion in the StorageClass if its driver supports expansion.`,
    };
  }
  if (/\bis invalid:/.test(what)) {
    return {
      reason: StalledReason.InvalidSpec,
      message: `${object} is invalid: ${what}. Correct ${fieldOf(what)}.`,
    };
  }
  return denied(what, object);
}

// Fields of children that have another name in the tenant's spec.
const tenantFields: readonly (readonly [RegExp, string])[] = [
  [/^CronJob\S* .*\bspec\.schedule: /, 'spec.sessions.cleanupSchedule of the tenant'],
  [/^CronJob\S* .*\bspec\.timeZone: /, 'spec.sessions.timeZone of the tenant'],
];

function fieldOf(text: string): string {
  const fields = tenantFields.filter(([pattern]) => pattern.test(text)).map(([, field]) => field);
  return fields.length > 0 ? fields.join(' and ') : "the tenant's spec";
}

const deniedByWebhook = /admission webhook ".*" denied the request/;

function denied(what: string, object: string): TenantCause {
  return {
    reason: StalledReason.AdmissionDenied,
    message: `${object} was denied by an admission policy: ${what}. Change the tenant's spec or the policy.`,
  };
}
