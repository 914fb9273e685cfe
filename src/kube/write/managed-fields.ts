/** Reads metadata.managedFields: who owns a field, and ownership moved from Update to Apply as client-go's csaupgrade does. */
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
  const own = (managedFields ?? []).filter((entry) => isOf(entry, manager));
  const newest = own.findLast((entry) => entry.operation === 'Update');
  if (!newest) return undefined;
  const merged: ManagedFieldsEntry = {
    ...newest,
    operation: 'Apply',
    fieldsV1: own.map((entry) => entry.fieldsV1 ?? {}).reduce(union),
  };
  return [...(managedFields ?? []).filter((entry) => !own.includes(entry)), merged];
}

/**
 * Whether `manager` still owns the field at a path, as `differences` writes it. The API server takes a field from its owner as soon as
 * another client changes or removes it, but not when an admission policy changes what the owner itself sends. So a field that we own
 * and that is not as desired was changed on our own write.
 */
export function ownedFields(
  managedFields: readonly ManagedFieldsEntry[] | undefined,
  manager: string,
): (path: string) => boolean {
  return fieldsOf((managedFields ?? []).filter((entry) => isOf(entry, manager)));
}

/** A writer of an object, as the API server has recorded it. */
export interface FieldWriter {
  readonly manager: string;
  readonly operation: string;
  readonly subresource?: string | undefined;
  /** Of its last change; RFC 3339. */
  readonly time?: string | undefined;
}

/** What of an object writers other than ours have set. */
export interface Overwrite {
  /** Paths of the fields. */
  readonly fields: readonly string[];
  /** Empty if the API server has not recorded any: a field that was only removed has no owner. */
  readonly writers: readonly FieldWriter[];
}

/** Who of the writers other than `manager` owns which of these fields. If none does, all fields and no writer. */
export function overwriteOf(
  managedFields: readonly ManagedFieldsEntry[] | undefined,
  manager: string,
  paths: readonly string[],
): Overwrite {
  const others = (managedFields ?? []).filter((entry) => !isOf(entry, manager) && paths.some(fieldsOf([entry])));
  if (others.length === 0) return { fields: paths, writers: [] };
  const writers = others.map(({ manager: name = 'unknown', operation = 'Update', subresource, time }) => ({
    manager: name,
    operation,
    subresource,
    time,
  }));
  return { fields: paths.filter(fieldsOf(others)), writers };
}

function isOf(entry: ManagedFieldsEntry, manager: string): boolean {
  return entry.manager === manager && !entry.subresource;
}

/** Whether one of these entries has the field at a path. */
function fieldsOf(entries: readonly ManagedFieldsEntry[]): (path: string) => boolean {
  const fields = new Set<string>();
  const leaves: string[] = [];
  const visit = (tree: Record<string, unknown>, path: string): void => {
    const keys = Object.keys(tree);
    fields.add(path);
    if (keys.length === 0) leaves.push(path);
    // `.` is the map or item itself, without what is in it.
    for (const key of keys.filter((each) => each !== '.')) visit(asTree(tree[key]), `${path}${segmentOf(key, path)}`);
  };
  for (const entry of entries) visit(asTree(entry.fieldsV1), '');
  return (path) =>
    fields.has(path) || leaves.some((leaf) => path.startsWith(leaf) && isWholly(leaf, path.slice(leaf.length)));
}

const atomicMaps = /(^|\.)(\w*[sS]elector|\w+KeyRef|\w*[fF]ieldRef|secretRef|configMapRef|dataSource)$/;

/** Whether who owns `leaf` owns all that is in it: an atomic list or map. A map whose keys others own looks the same, so these are known by name. */
function isWholly(leaf: string, rest: string): boolean {
  return /^\[\d+\]/.test(rest) || (rest.startsWith('.') && atomicMaps.test(leaf));
}

/** `f:name` is a field, `k:{...}` an item of a list by its keys, `v:...` a member of a set. */
function segmentOf(key: string, parent: string): string {
  const value = key.slice(2);
  if (key.startsWith('f:')) return parent === '' ? value : `.${value}`;
  const parsed: unknown = JSON.parse(value);
  if (key.startsWith('v:')) return `[${String(parsed)}]`;
  const keys = Object.entries(asTree(parsed)).map(([name, id]) => `${name}=${String(id)}`);
  return `[${keys.join(',')}]`;
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
