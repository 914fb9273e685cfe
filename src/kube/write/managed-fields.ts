/** Moves ownership of fields from Update to Apply in metadata.managedFields, as client-go's csaupgrade does. */
import type { ManagedFieldsEntry } from '../types/types.ts';

/**
 * The managed fields with everything that `manager` owns by Update moved to its Apply entry; `undefined` if there is nothing to
 * move. A create is recorded as Update, and server-side apply removes only fields of the Apply entry: without this a field that
 * is no longer desired would stay forever (docs/adr/0007-create-then-apply.md).
 */
export function moveToApply(
  managedFields: readonly ManagedFieldsEntry[] | undefined,
  manager: string,
): ManagedFieldsEntry[] | undefined {
  const own = (managedFields ?? []).filter((entry) => entry.manager === manager && !entry.subresource);
  const newest = own.findLast((entry) => entry.operation === 'Update');
  if (!newest) return undefined;
  const merged: ManagedFieldsEntry = {
    ...newest,
    operation: 'Apply',
    fieldsV1: own.map((entry) => entry.fieldsV1 ?? {}).reduce(union),
  };
  return [...(managedFields ?? []).filter((entry) => !own.includes(entry)), merged];
}

/** Of two field sets. A set is a tree of JSON objects, so its union is that of the trees. */
function union(a: Record<string, unknown>, b: Record<string, unknown>): Record<string, unknown> {
  const result = { ...a };
  for (const [field, inner] of Object.entries(b)) {
    result[field] = union(asTree(result[field]), asTree(inner));
  }
  return result;
}

function asTree(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
