/** Compares a desired object with the live one, field by field, as the API server would merge it. */
import { listMerge, type ListKey } from './merge-keys.ts';
import { compareQuantities } from '../types/quantity.ts';
import type { KubeObject } from '../types/types.ts';

/** A field that is not as desired. `found` may be secret: only `path` is for logs and messages. */
export interface Difference {
  /** As people write it: `spec.template.spec.containers[name=cli].image`. */
  path: string;
  found: unknown;
}

/**
 * What of `desired` the live object lacks or has with another value; empty when desired is a subset of it. Fields that
 * only the live object has belong to the server's defaults or to other writers and are none of our business.
 * Lists are compared as the API server merges them, quantities by value.
 */
export function differences(desired: KubeObject, live: KubeObject): Difference[] {
  const found: Difference[] = [];
  const compare = comparer(desired.kind, found);
  for (const [field, value] of Object.entries(desired)) {
    // The items of a LIST have neither; status is not for apply to write.
    if (field === 'apiVersion' || field === 'kind' || field === 'metadata' || field === 'status') continue;
    compare(value, live[field as keyof KubeObject], field, field);
  }
  // Of the metadata, what a writer may want; the rest is identity or the server's.
  for (const field of ['labels', 'annotations', 'ownerReferences', 'finalizers'] as const) {
    compare(desired.metadata[field], live.metadata[field], `metadata.${field}`, `metadata.${field}`);
  }
  return found;
}

/** `schema` is the path without indexes, to look rules up; `path` the one to show. */
type Compare = (want: unknown, have: unknown, schema: string, path: string) => void;

function comparer(kind: string, out: Difference[]): Compare {
  const compare: Compare = (want, have, schema, path) => {
    if (want === undefined || want === null) return;
    if (have === undefined || have === null) {
      if (!isDroppedWhenEmpty(want, schema)) out.push({ path, found: have });
    } else if (Array.isArray(want)) {
      if (Array.isArray(have)) compareLists(want, have, schema, path);
      else out.push({ path, found: have });
    } else if (isRecord(want)) {
      if (isRecord(have)) compareRecords(want, have, schema, path);
      else out.push({ path, found: have });
    } else if (want !== have && !isSameQuantity(want, have, schema)) {
      out.push({ path, found: have });
    }
  };

  const compareRecords = (want: Fields, have: Fields, schema: string, path: string): void => {
    for (const key of Object.keys(want)) {
      // Most fields are as desired, and then nobody needs their paths.
      if (want[key] === have[key]) continue;
      compare(want[key], have[key], childSchema(schema, key), `${path}.${key}`);
    }
    if (!isInSelector(schema)) return;
    for (const [key, value] of Object.entries(have)) {
      if (want[key] === undefined) out.push({ path: `${path}.${key}`, found: value });
    }
  };

  const compareLists = (want: unknown[], have: unknown[], schema: string, path: string): void => {
    const merge = listMerge(kind, schema);
    if (merge.type === 'set') {
      for (const value of want)
        if (!have.includes(value)) out.push({ path: `${path}[${String(value)}]`, found: undefined });
    } else if (merge.type === 'map') {
      for (const item of want) {
        const id = identity(item, merge.keys);
        const same = have.find((other) => identity(other, merge.keys) === id);
        compare(item, same, schema, `${path}[${id}]`);
      }
    } else if (want.length !== have.length) {
      out.push({ path, found: have });
    } else {
      want.forEach((item, index) => compare(item, have[index], schema, `${path}[${index}]`));
    }
  };
  return compare;
}

function identity(item: unknown, keys: readonly ListKey[]): string {
  if (!isRecord(item)) return '';
  return keys
    .map(({ field, default: fallback }) => {
      const value = item[field] ?? fallback;
      return `${field}=${isTextOrNumber(value) ? value : ''}`;
    })
    .join(',');
}

/** Maps from keys that users choose: an empty value in one means something, and an empty one is not stored. */
const maps = new Set(
  'annotations binaryData data labels matchLabels nodeSelector parameters capacity default defaultRequest hard limits max min requests'.split(
    ' ',
  ),
);

/** Fields whose zero value the server does not store (`omitempty` without a pointer); absent means the same there. */
const droppedWhenZero = new Set(
  'hostIPC hostNetwork hostPID hostPort initialDelaySeconds minReadySeconds paused publishNotReadyAddresses readOnly stdin stdinOnce tty'.split(
    ' ',
  ),
);

/** Fields in which the empty string is not the same as absent. */
const keptWhenEmpty = new Set([
  'storageClassName',
  'ingressClassName',
  'loadBalancerClass',
  'volumeAttributesClassName',
]);

/** Path of a key; the keys of a map are all one path, as users may put dots into them. */
function childSchema(schema: string, key: string): string {
  return maps.has(lastSegment(schema)) ? `${schema}.*` : `${schema}.${key}`;
}

function isDroppedWhenEmpty(want: unknown, schema: string): boolean {
  const field = lastSegment(schema);
  if (want === '') return field !== '*' && !keptWhenEmpty.has(field);
  if (Array.isArray(want)) return want.length === 0;
  if (isRecord(want))
    return maps.has(field) && Object.values(want).every((value) => value === undefined || value === null);
  return (want === false || want === 0) && droppedWhenZero.has(field);
}

const quantities = /(^|\.)((requests|limits|capacity|hard|default|defaultRequest|max|min)\.\*|sizeLimit|divisor)$/;

function isSameQuantity(want: unknown, have: unknown, schema: string): boolean {
  return quantities.test(schema) && isTextOrNumber(want) && isTextOrNumber(have) && compareQuantities(want, have) === 0;
}

function isTextOrNumber(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

function lastSegment(schema: string): string {
  return schema.slice(schema.lastIndexOf('.') + 1);
}

type Fields = Record<string, unknown>;

const selectors = new Set(['selector', 'podSelector', 'namespaceSelector', 'labelSelector', 'nodeSelector']);

/**
 * Whether everything in a map counts: the API server replaces a selector as a whole, and one more requirement in it makes
 * it select something else or nothing, so that a policy fences nobody and a Service leads nowhere.
 */
function isInSelector(schema: string): boolean {
  return selectors.has(lastSegment(schema.replace(/\.matchLabels$/, '')));
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
