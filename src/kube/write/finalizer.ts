/** Adds and removes finalizers. */
import type { KubeClient } from '../client/client.ts';
import { isConflict, isInvalid, isNotFound } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import type { ResourceType } from '../types/resource.ts';
import { nameOf, type KubeObject } from '../types/types.ts';

/** Whoever else writes the object at the same time may win this often before the caller hears of it. */
const MAX_ATTEMPTS = 5;

export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false;
}

/** The object with the finalizer on it; `undefined` when it is gone. Writes nothing when the finalizer is there. */
export function addFinalizer<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  return patchFinalizers(client, type, object, (finalizers) =>
    finalizers.includes(finalizer) ? undefined : [...finalizers, finalizer],
  );
}

/** The object without the finalizer; `undefined` when it is gone, be it by this. Writes nothing when there is none. */
export function removeFinalizer<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  return patchFinalizers(client, type, object, (finalizers) =>
    finalizers.includes(finalizer) ? finalizers.filter((other) => other !== finalizer) : undefined,
  );
}

/**
 * The whole list is replaced, so the patch carries the resourceVersion it was decided for: without it a finalizer that
 * somebody else added meanwhile would be lost. `change` returns undefined when there is nothing to do.
 */
async function patchFinalizers<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  change: (finalizers: string[]) => string[] | undefined,
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
      return await client.patch(type, nameOf(object), patch, { contentType: 'application/json-patch+json' });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      // The test of the UID fails as Invalid: another object has the name by now, as the live read will show.
      if (!(isConflict(error) || isInvalid(error)) || attempt === MAX_ATTEMPTS) throw error;
      current = await ignoreNotFound(client.get(type, nameOf(object)));
    }
  }
  return undefined;
}
