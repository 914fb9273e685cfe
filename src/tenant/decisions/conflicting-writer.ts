/** Decides what is reported of others that change a child: a writer that does so again and again, and a policy that does so only once. */
import { StalledReason } from '../../api/conditions.ts';
import { Annotation } from '../../api/names.ts';
import type { KubeObject } from '../../kube/types/types.ts';
import type { Contest } from '../../kube/write/apply.ts';
import type { TenantCause } from '../model.ts';

/** Fields named in the message; the rest are counted. */
const MAX_FIELDS = 3;

/** What is known of a child that another writer keeps changing. */
export interface ConflictInput {
  readonly child: KubeObject;
  readonly tenant: string;
  readonly contest: Contest;
  /** The child has the other writer's values now. */
  readonly reverted: boolean;
}

/** The cause: who changes which fields, and what to do. Its message changes only with a further change by the other writer. */
export function conflictingWriter({ child, tenant, contest, reverted }: ConflictInput): TenantCause {
  const { kind, metadata } = child;
  const { fields, writers } = contest;
  const who = writers.map(describeWriter).join(' and ') || unrecorded(fields);
  const what = listed(fields);
  const serves = !reverted || !stopsServing(kind, fields);
  return {
    reason: StalledReason.ConflictingWriter,
    message:
      `${who} keeps changing ${what} of ${kind} ${metadata.name}, and the operator restores it less and less often. ` +
      `${remedy(tenant, fields)} Exclude the object from that writer, or let the operator write nothing: ` +
      `kubectl annotate ct/${tenant} ${Annotation.paused}=true.`,
    ...(serves && { isBesideServers: true }),
  };
}

/**
 * The message when an update gave a child the values of the spec in fields that an admission policy had changed at its creation: a policy
 * that matches CREATE only is not asked at an update.
 */
export function policyUndone({ kind, metadata: { name } }: KubeObject, fields: readonly string[]): string {
  return (
    `An admission policy had changed ${listed(fields)} of ${kind} ${name}, and did not when the operator updated it, so it has the values of the spec now. ` +
    `Let the policy match UPDATE as well as CREATE, or set what it sets in the tenant.`
  );
}

function listed(fields: readonly string[]): string {
  const more = fields.length > MAX_FIELDS ? ` and ${fields.length - MAX_FIELDS} more` : '';
  return `${fields.slice(0, MAX_FIELDS).join(', ')}${more}`;
}

function describeWriter({ manager, operation, subresource, time }: Contest['writers'][number]): string {
  const through = subresource === undefined ? '' : ` of ${subresource}`;
  const last = time === undefined ? '' : `, last at ${time}`;
  return `Field manager ${manager} (${operation}${through}${last})`;
}

// The scale subresource leaves zero out of what it stores, and with it who has set it.
function unrecorded(fields: readonly string[]): string {
  const example = fields.includes('spec.replicas') ? ' (as with kubectl scale --replicas=0)' : '';
  return `A writer that the API server has not recorded${example}`;
}

function remedy(tenant: string, fields: readonly string[]): string {
  return fields.includes('spec.replicas')
    ? `To stop the servers, set spec.suspend of the tenant, or run kubectl scale ct/${tenant} --replicas=0.`
    : 'Change the tenant instead: these fields follow from its spec.';
}

// Only these keep clients from a server that runs; of a Deployment its metadata does not.
function stopsServing(kind: string, fields: readonly string[]): boolean {
  return (kind === 'Deployment' || kind === 'Service') && fields.some((field) => field.startsWith('spec.'));
}
