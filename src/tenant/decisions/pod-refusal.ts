/** Recognises by their texts the refusals of built-in admission plugins, each with the field of the tenant that fixes it. */
import { StalledReason } from '../../api/conditions.ts';
import type { TenantCause } from '../model.ts';

/** Message after the object and what was reported of it. */
interface KnownRefusal {
  readonly pattern: RegExp;
  readonly reason: StalledReason;
  /** `match`: that of the pattern. */
  readonly describe: (
    match: RegExpExecArray,
    options: RefusalOptions,
  ) => { readonly problem: string; readonly remedy: string };
}

/** What the remedy depends on. */
export interface RefusalOptions {
  /** The field with the resources of the pod; default: that of servers. */
  readonly resources?: 'spec.server.resources' | 'spec.sessions.cleanupResources';
}

const SERVER_RESOURCES = 'spec.server.resources';

// The texts are those of the API server 1.36.
const refusals: readonly KnownRefusal[] = [
  {
    pattern: /exceeded quota: ([^,]+)(?:, requested: ([^ ]*), )?/,
    reason: StalledReason.QuotaExceeded,
    describe: ([, quota, requested = ''], { resources = "the tenant's resource requests" }) => ({
      problem: `exceeds the ResourceQuota ${quota} of the namespace`,
      // A quota of the number of objects has nothing to do with their size.
      remedy: /^(pods|count\/[^=]+)=[^,]*$/.test(requested)
        ? 'Raise the quota'
        : `Raise the quota or lower ${resources}`,
    }),
  },
  {
    pattern: /failed quota: ([^:]+): must specify (.*)/,
    reason: StalledReason.ResourcesRequired,
    describe: ([, quota, missing = ''], { resources = SERVER_RESOURCES }) => ({
      problem: `does not specify what the ResourceQuota ${quota} of the namespace requires`,
      remedy: `Set ${requiredFields(missing, resources)}, or defaults in a LimitRange of the namespace`,
    }),
  },
  {
    pattern: /(minimum|maximum) \S+ usage per PersistentVolumeClaim is/,
    reason: StalledReason.LimitRangeViolated,
    describe: () => ({
      problem: 'is outside a LimitRange of the namespace',
      remedy: 'Change spec.storage.size or the LimitRange',
    }),
  },
  {
    pattern:
      /(minimum|maximum) (\S+) usage per (Container|Pod) is|(\S+) max limit to request ratio per (Container|Pod) is/,
    reason: StalledReason.LimitRangeViolated,
    describe: (_, { resources = SERVER_RESOURCES }) => ({
      problem: 'is outside a LimitRange of the namespace',
      remedy: `Change ${resources} or the LimitRange`,
    }),
  },
  {
    pattern: /no PriorityClass with name (\S+) was found/,
    reason: StalledReason.PriorityClassNotFound,
    describe: ([, name]) => ({
      problem: `needs PriorityClass ${name}, which does not exist`,
      remedy: 'Create it, or correct spec.server.priorityClassName',
    }),
  },
  {
    pattern: /RuntimeClass "([^"]+)" not found/,
    reason: StalledReason.RuntimeClassNotFound,
    describe: ([, name]) => ({
      problem: `needs RuntimeClass ${name}, which does not exist`,
      remedy: 'Create it, or correct spec.server.runtimeClassName',
    }),
  },
  {
    pattern: /serviceaccount "([^"]+)" not found/,
    reason: StalledReason.ServiceAccountNotFound,
    describe: ([, name]) => ({
      problem: `needs ServiceAccount ${name}, which does not exist`,
      remedy: 'The operator creates it again; if it stays missing, find out what deletes it',
    }),
  },
  {
    pattern: /violates PodSecurity "([^"]+)"/,
    reason: StalledReason.PodSecurityViolated,
    describe: ([, level]) => ({
      problem: `violates the Pod Security standard ${level} of the namespace`,
      remedy:
        'The pods of the operator meet the standard restricted: change the webhook or policy that changes them, or the label pod-security.kubernetes.io/enforce of the namespace',
    }),
  },
];

/** The cause, if a built-in admission plugin refused `object`; undefined if `text` is not one of theirs. */
export function builtinRefusal(text: string, object: string, options: RefusalOptions = {}): TenantCause | undefined {
  for (const { pattern, reason, describe } of refusals) {
    const match = pattern.exec(text);
    if (match === null) continue;
    const { problem, remedy } = describe(match, options);
    return { reason, message: `${object} ${problem}: ${text}. ${remedy}.` };
  }
  return undefined;
}

/** `limits.cpu for: server; limits.memory for: server` as fields of the tenant. */
function requiredFields(missing: string, resources: string): string {
  const required = missing.split(';').flatMap((part) => (part.split(' for: ')[0] ?? '').split(','));
  const fields = required.map((resource) => resource.trim()).filter((resource) => resource !== '');
  const named = fields.map((field) => (field === 'cpu' || field === 'memory' ? `requests.${field}` : field));
  return named.map((field) => `${resources}.${field}`).join(' and ');
}

// Numbers that differ with each attempt would change the message, and so the status.
const changingParts: readonly (readonly [RegExp, string])[] = [
  [/stream ID \d+/g, 'stream'],
  [/(read|write) tcp \S+->/g, '$1 tcp '],
];

const transientErrors =
  /^Internal error occurred|failed calling webhook|failed to call webhook|INTERNAL_ERROR|etcdserver|context deadline exceeded|connection refused|no such host|timed out|request timeout|server is currently unable|too many requests|EOF$/i;

/** The cause, if the API server failed when another controller created `object`: nobody refused it. */
export function creationFailure(text: string, object: string): TenantCause | undefined {
  if (!transientErrors.test(text)) return undefined;
  const what = changingParts.reduce((changed, [pattern, stable]) => changed.replaceAll(pattern, stable), text);
  return {
    reason: StalledReason.PodCreationFailed,
    message: `${object} cannot be created, because the API server or an admission webhook fails: ${what}. It is retried; if that lasts, check them.`,
  };
}
