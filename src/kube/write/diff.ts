/** Compares a desired object with the live one, field by field, as the API server would merge it. */
import { compareQuantities } from '../types/quantity.ts';
import type { KubeObject } from '../types/types.ts';
import { listMerge, type ListKey } from './merge-keys.ts';

/** A field that is not as desired. `found` may be secret: only `path` is for logs and messages. */
export interface Difference {
  /** For messages: `spec.template.spec.containers[name=cli].image`. */
  path: string;
  found: unknown;
}

/**
 * The fields of `desired` that the live object lacks or has with another value; none if desired is a subset of it. Fields that
 * only the live object has are the server's defaults or those of other writers, and are ignored.
 * Lists are compared as the API server merges them, quantities by value.
 */
export function differences(desired: KubeObject, live: KubeObject): Difference[] {
  const found: Difference[] = [];
  const compare = comparer(desired.kind, found);
  for (const [field, value] of Object.entries(desired)) {
    // Items of a LIST have no kind and apiVersion; apply does not write the status.
    if (field === 'apiVersion' || field === 'kind' || field === 'metadata' || field === 'status') continue;
    compare(value, live[field as keyof KubeObject], field, field);
  }
  // The metadata that a writer may set; the rest is identity or set by the server.
  for (const field of ['labels', 'annotations', 'ownerReferences', 'finalizers'] as const) {
    compare(desired.metadata[field], live.metadata[field], `metadata.${field}`, `metadata.${field}`);
  }
  return found;
}

/** `schema` is the path without indexes, for the rules; `path` the one for messages. */
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
      // Most fields are as desired: no need to compute their paths.
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

/** Maps with keys that users choose: an empty value has a meaning there, and an empty map is not stored. */
const maps = new Set(
  'annotations binaryData data labels matchLabels nodeSelector parameters capacity default defaultRequest hard limits max min requests'.split(
    ' ',
  ),
);

/** Fields whose zero value the server does not store (`omitempty` without a pointer): there absent means the same. */
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
 * Whether additional entries of a map are differences: the API server replaces a selector as a whole, and with another requirement it
 * selects other pods or none, so that a NetworkPolicy protects nothing and a Service has no endpoints.
 */
function isInSelector(schema: string): boolean {
  return selectors.has(lastSegment(schema.replace(/\.matchLabels$/, '')));
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
