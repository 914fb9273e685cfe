/** Decides what is reported of another writer that keeps changing a child. */
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
  const who = writers.map(describeWriter).join(' and ') || 'A writer that the API server has not recorded';
  const more = fields.length > MAX_FIELDS ? ` and ${fields.length - MAX_FIELDS} more` : '';
  const what = `${fields.slice(0, MAX_FIELDS).join(', ')}${more}`;
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

function describeWriter({ manager, operation, subresource, time }: Contest['writers'][number]): string {
  const through = subresource === undefined ? '' : ` of ${subresource}`;
  const last = time === undefined ? '' : `, last at ${time}`;
  return `Field manager ${manager} (${operation}${through}${last})`;
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
