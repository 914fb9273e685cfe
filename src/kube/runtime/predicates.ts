/** Predicates for the builder, as in controller-runtime: which updates of an object are reconciled. */
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../types/types.ts';

/** The spec has changed: the API server raises the generation with each change of it, and not with one of the status. */
export function generationChanged({ metadata: old }: KubeObject, { metadata }: KubeObject): boolean {
  return metadata.generation !== old.generation;
}

/** More than the status has changed: the spec, labels, annotations or a deletion. An object without a generation has no status. */
export function specOrMetadataChanged(before: KubeObject, after: KubeObject): boolean {
  const [{ metadata: old }, { metadata }] = [before, after];
  return (
    metadata.generation === undefined ||
    generationChanged(before, after) ||
    metadata.deletionTimestamp !== old.deletionTimestamp ||
    !isDeepStrictEqual(metadata.labels, old.labels) ||
    !isDeepStrictEqual(metadata.annotations, old.annotations)
  );
}
