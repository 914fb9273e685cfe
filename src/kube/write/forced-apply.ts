/** The server-side apply of one child: what has to be changed before it, and what is done when the API server refuses its result. */
import type { Logger } from 'pino';
import { isConflict, isInvalid } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import { describe } from '../types/owner.ts';
import type { ResourceType } from '../types/resource.ts';
import { nameOf, type KubeObject } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';
import type { DesiredChild } from './desired-child.ts';
import { moveToApply } from './managed-fields.ts';
import { InvalidObjectError, writeErrorOf } from './refusal.ts';

/** What an apply is sent with. */
export interface ForcedApplyOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly fieldManager: string;
}

/** Conflicts with other writers of an object's managed fields before the reconcile is retried. */
const MAX_CONFLICTS = 5;

/** Applies the child to the object that was read, and to no other of its name. `live` has its managed fields. */
export async function forceApply<T extends KubeObject>(
  options: ForcedApplyOptions,
  type: ResourceType<T>,
  child: DesiredChild<T>,
  live: T,
): Promise<T> {
  const { client, fieldManager, log } = options;
  await moveFieldsToApply(options, type, child, live);
  const desired = { ...child.manifest, metadata: { ...child.manifest.metadata, uid: live.metadata.uid } };
  const apply = (): Promise<T> => client.apply<T>(type, desired, { fieldManager, force: true, signal: child.signal });
  try {
    return await apply();
  } catch (error) {
    const refusal = writeErrorOf(child.manifest, error);
    const { spec } = child.manifest as T & { spec?: unknown };
    if (!(refusal instanceof InvalidObjectError) || refusal.immutable || spec === undefined) throw refusal;
    // Apply merges with the fields of other writers, and some fields exclude each other: the parameters of RollingUpdate and
    // Recreate, or two probe handlers. Then the whole spec is replaced.
    const patch = [
      { op: 'test', path: '/metadata/uid', value: live.metadata.uid },
      { op: 'replace', path: '/spec', value: spec },
    ];
    const request = { contentType: 'application/json-patch+json', fieldManager, signal: child.signal } as const;
    await client.patch(type, nameOf(live), patch, request).catch((failure: unknown) => {
      throw isInvalid(failure) ? refusal : failure;
    });
    log.warn(
      { object: describe(live), fields: refusal.fields },
      'fields that other writers set conflict with the desired ones; replaced the spec',
    );
    return apply();
  }
}

/** Moves the fields that the create recorded under Update to Apply, once in the life of an object. */
async function moveFieldsToApply<T extends KubeObject>(
  { client, fieldManager }: ForcedApplyOptions,
  type: ResourceType<T>,
  { signal }: DesiredChild<T>,
  live: T,
): Promise<void> {
  let current: T | undefined = live;
  for (let attempt = 1; current && current.metadata.uid === live.metadata.uid; attempt++) {
    const managedFields = moveToApply(current.metadata.managedFields, fieldManager);
    if (!managedFields) return;
    const patch = [
      { op: 'replace', path: '/metadata/managedFields', value: managedFields },
      // A precondition: the API server refuses the patch if the object has changed since the read.
      { op: 'replace', path: '/metadata/resourceVersion', value: current.metadata.resourceVersion },
    ];
    try {
      const contentType = 'application/json-patch+json';
      await client.patch(type, nameOf(live), patch, { contentType, fieldManager, signal });
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === MAX_CONFLICTS) throw error;
      current = await ignoreNotFound(client.get(type, nameOf(live), { signal }));
    }
  }
}
