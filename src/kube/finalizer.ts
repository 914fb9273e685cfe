import type { KubeClient } from './client.ts';
import { isConflict, isNotFound } from './errors.ts';
import type { ResourceType } from './resource.ts';
import { nameOf, type KubeObject } from './types.ts';

/** Whoever else writes the object at the same time may win this often before the caller hears of it. */
const MAX_ATTEMPTS = 5;

export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false;
}

/** The object with the finalizer on it; writes nothing when it is there. Throws NotFound when the object is gone. */
export function addFinalizer<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
): Promise<T> {
  return patchFinalizers(client, type, object, (finalizers) =>
    finalizers.includes(finalizer) ? undefined : [...finalizers, finalizer],
  );
}

/** The object without the finalizer; `undefined` when that let it go, or when it was gone before. */
export async function removeFinalizer<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  finalizer: string,
): Promise<T | undefined> {
  try {
    return await patchFinalizers(client, type, object, (finalizers) =>
      finalizers.includes(finalizer) ? finalizers.filter((other) => other !== finalizer) : undefined,
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * The whole list is replaced, so the patch carries the resourceVersion it was decided for: without it a finalizer that
 * somebody else added meanwhile would be lost.
 */
async function patchFinalizers<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType<T>,
  object: T,
  change: (finalizers: string[]) => string[] | undefined,
): Promise<T> {
  let current = object;
  for (let attempt = 1; ; attempt++) {
    const finalizers = change(current.metadata.finalizers ?? []);
    if (!finalizers) return current;
    const { uid, resourceVersion } = current.metadata;
    const patch = [
      { op: 'test', path: '/metadata/uid', value: uid },
      { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
      { op: 'add', path: '/metadata/finalizers', value: finalizers },
    ];
    try {
      return await client.patch(type, nameOf(current), patch, { contentType: 'application/json-patch+json' });
    } catch (error) {
      if (!isConflict(error) || attempt === MAX_ATTEMPTS) throw error;
      current = await client.get(type, nameOf(object));
      // Another object of this name: the one that was meant is gone, and so is its finalizer.
      if (current.metadata.uid !== uid) throw error;
    }
  }
}
