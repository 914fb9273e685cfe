/** Hashes of manifests, to recognise what was applied last. */
import { hash as hashOnce } from 'node:crypto';
import type { KubeObject } from '../types/types.ts';

/** The manifest with its own hash in an annotation: the live object then shows what was applied last. */
export function withHash<T extends KubeObject>(manifest: T, annotation: string): { manifest: T; hash: string } {
  const hash = digest(manifest);
  const annotations = { ...manifest.metadata.annotations, [annotation]: hash };
  return { manifest: { ...manifest, metadata: { ...manifest.metadata, annotations } }, hash };
}

/** 64 bits of SHA-256 over the JSON with sorted keys: the order of fields does not matter. */
export function digest(value: unknown): string {
  return hashOnce('sha256', canonicalJson(value), 'hex').slice(0, 16);
}

/** As `digest` at a fifth of its cost, but the order of fields matters: only for comparing with the same builder's earlier result. */
export function quickDigest(value: unknown): string {
  return hashOnce('sha256', JSON.stringify(value), 'base64url').slice(0, 22);
}

/** JSON with sorted keys; absent and null fields are left out, as apply treats both as not desired. */
function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const record = value as Record<string, unknown>;
  let fields = '';
  for (const key of Object.keys(record).sort()) {
    const inner = record[key];
    if (inner === undefined || inner === null) continue;
    fields += `${fields === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(inner)}`;
  }
  return `{${fields}}`;
}
