/** The state of a namespace without what differs between two runs: identities, times, random values and counters of the API server. */
import type { ResourceType } from '../../src/kube/types/resource.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';

/** By kind and name. */
export type Snapshot = Record<string, unknown>;

const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
/** Hashes of manifests, which are of the token too, and what the cluster's own controllers note. */
const MASKED =
  /^(copilot-operator\.dev\/(applied-hash|credentials-hash|template-inputs)|pod-template-hash|.*controller-uid)$/;
const SERVER_FIELDS = new Set([
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'managedFields',
  'generateName',
]);
/** Given by the API server, counted, or chosen by the name of the namespace. */
const ASSIGNED = new Set([
  'schedule',
  'clusterIP',
  'clusterIPs',
  'volumeName',
  'observedGeneration',
  'podIP',
  'podIPs',
  'volumeUID',
  'restarts',
  // Of a sweep, see isOfSweep.
  'volumeUsage',
  'copilot-operator.dev/sweep-at',
]);

/**
 * Whether an object is a sweep's. A sweep is due some time after a deletion, so how many steps later it runs depends on how fast the machine
 * is; the step `sweep` waits for it.
 */
export function isOfSweep(name: string): boolean {
  return /-sweep\d+(-|$)/.test(name);
}

/** The state of a namespace in which there is this. */
export function snapshotOf(found: readonly [ResourceType, KubeObject][], namespace: string): Snapshot {
  const objects = found.filter(([, { metadata }]) => !isOfSweep(metadata.name));
  const masked = objects
    .filter(([{ kind }]) => kind !== 'Pod' && kind !== 'ReplicaSet')
    .map(([{ kind }, object]): [string, unknown] => [
      `${kind} ${mask(object.metadata.name)}`,
      maskObject(object, namespace),
    ]);
  // Pods and ReplicaSets have random names: their number counts.
  const pods = objects.filter(([{ kind }]) => kind === 'Pod').map(([, { metadata }]) => serverOf(metadata.name));
  return { ...Object.fromEntries(masked.toSorted(([a], [b]) => a.localeCompare(b))), pods: pods.toSorted() };
}

/** The first differences, one a line; none if both are equal. */
export function differencesOf(expected: unknown, found: unknown, path = ''): string[] {
  if (isRecord(expected) && isRecord(found)) {
    const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
    return keys.flatMap((key) => differencesOf(expected[key], found[key], path === '' ? key : `${path}.${key}`));
  }
  const [want, have] = [JSON.stringify(expected), JSON.stringify(found)];
  return want === have ? [] : [`${path}: ${have ?? 'absent'} instead of ${want ?? 'absent'}`.slice(0, 400)];
}

/** By kind and name, which object in which version there is. */
export function versionsOf(objects: readonly [ResourceType, KubeObject][]): Record<string, string> {
  return Object.fromEntries(
    objects.map(([{ kind }, { metadata }]) => [
      `${kind} ${metadata.name}`,
      `${metadata.uid} at ${metadata.resourceVersion}`,
    ]),
  );
}

/** A name without the UIDs in it. */
export function mask(text: string): string {
  return text.replace(UID, 'UID');
}

function serverOf(pod: string): string {
  return mask(pod).replace(/-[^-]*-[^-]*$/, '');
}

function maskObject({ metadata, ...object }: KubeObject, namespace: string): unknown {
  const kept = Object.fromEntries(Object.entries(metadata).filter(([field]) => !SERVER_FIELDS.has(field)));
  return maskValue({ ...object, metadata: kept }, namespace, object.kind === 'Secret');
}

function maskValue(value: unknown, namespace: string, secret: boolean, field = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => maskValue(item, namespace, secret));
    if (field === 'conditions') return Object.fromEntries(items.map((item) => [(item as { type: string }).type, item]));
    // In the order of the writes that added them.
    return field === 'ownerReferences' ? byText(items) : items;
  }
  if (typeof value === 'string') {
    return mask(value)
      .replace(TIME, 'TIME')
      .replaceAll(namespace, 'NAMESPACE')
      .replaceAll(/10\.1\.\d+\.\d+/g, 'IP');
  }
  if (!isRecord(value)) return value;
  const entries = Object.entries(value)
    .filter(([name]) => !ASSIGNED.has(name))
    .map(([name, inner]): [string, unknown] => {
      const hidden = MASKED.test(name) || name === 'uid' || (secret && field === 'data');
      return [name, hidden ? 'MASKED' : maskValue(inner, namespace, secret, name)];
    });
  return Object.fromEntries(entries.toSorted(([a], [b]) => a.localeCompare(b)));
}

const byText = (items: unknown[]): unknown[] =>
  items.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
