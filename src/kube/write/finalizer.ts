/** Adds and removes finalizers. */
import { isConflict, isInvalid, isNotFound } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import type { ResourceType } from '../types/resource.ts';
import { nameOf, type KubeObject } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';

/** Conflicts with other writers of the object before the error is thrown. */
const MAX_ATTEMPTS = 5;

/** Whether the object has the finalizer. */
export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false;
}

/** The object with the finalizer; `undefined` if it is deleted. Writes nothing if it has the finalizer already. */
export function addFinalizer<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const change = (finalizers: string[]): string[] | undefined =>
    finalizers.includes(finalizer) ? undefined : [...finalizers, finalizer];
  return patchFinalizers(client, type, object, change, signal);
}

/** The object without the finalizer; `undefined` if it is deleted, perhaps by this. Writes nothing if it has no such finalizer. */
export function removeFinalizer<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const change = (finalizers: string[]): string[] | undefined =>
    finalizers.includes(finalizer) ? finalizers.filter((other) => other !== finalizer) : undefined;
  return patchFinalizers(client, type, object, change, signal);
}

/**
 * The patch replaces the whole list, so it has a resourceVersion as precondition: otherwise a finalizer that another client added
 * meanwhile would be lost. `change` returns undefined if there is nothing to do.
 */
async function patchFinalizers<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  change: (finalizers: string[]) => string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  let current: T | undefined = object;
  for (let attempt = 1; current && current.metadata.uid === object.metadata.uid; attempt++) {
    const finalizers: string[] | undefined = change(current.metadata.finalizers ?? []);
    if (!finalizers) return current;
    const patch = [
      { op: 'test', path: '/metadata/uid', value: object.metadata.uid },
      { op: 'replace', path: '/metadata/resourceVersion', value: current.metadata.resourceVersion },
      { op: 'add', path: '/metadata/finalizers', value: finalizers },
    ];
    try {
      return await client.patch(type, nameOf(object), patch, { contentType: 'application/json-patch+json', signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      // A failed test of the UID is answered as Invalid: another object has the name by now, as the live read will show.
      if (!(isConflict(error) || isInvalid(error)) || attempt === MAX_ATTEMPTS) throw error;
      current = await ignoreNotFound(client.get(type, nameOf(object), { signal }));
    }
  }
  return undefined;
}
