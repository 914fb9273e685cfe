/** Writes the status subresource, and only if it differs. */
import { isDeepStrictEqual } from 'node:util';
import { isConflict, isNotFound } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import type { ResourceType } from '../types/resource.ts';
import { nameOf, type KubeObject } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';
import type { RecentWrites } from './recent-writes.ts';

/**
 * The result of writing a status. `unchanged`: it was equal and nothing was sent. `gone`: the object is deleted. `conflict`: the object
 * has changed meanwhile, and the next reconcile decides again.
 */
export type StatusWrite = 'unchanged' | 'written' | 'gone' | 'conflict';

/** What the writer of a status needs. */
export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** Our own writes, until the cache shows them. */
  readonly recent: RecentWrites;
  readonly fieldManager: string;
}

/**
 * Writes the status of an object if it differs. The resourceVersion of the object is a precondition, so that a status computed from
 * an outdated cache is refused. Throws the client's other errors.
 */
export async function writeStatus<T extends KubeObject & { status?: unknown }>(
  { client, recent, fieldManager }: StatusWriterOptions,
  type: ResourceType<T>,
  object: T,
  status: NonNullable<T['status']>,
  signal: AbortSignal,
): Promise<StatusWrite> {
  if (isDeepStrictEqual(status, object.status)) return 'unchanged';
  try {
    const written = await client.update(type, { ...object, status }, { subresource: 'status', fieldManager, signal });
    recent.wrote(type, written);
    return 'written';
  } catch (error) {
    if (isNotFound(error)) return 'gone';
    if (!isConflict(error)) throw error;
    // The next reconcile has the live object, however late the cache is.
    const live = await ignoreNotFound(client.get(type, nameOf(object), { signal }));
    if (live !== undefined) recent.wrote(type, live);
    return 'conflict';
  }
}

/**
 * Whether an object is unchanged, by a live read: before a step that can't be reverted the cache is not trusted. The live object is
 * used until the cache shows it.
 */
export async function isLatest<T extends KubeObject>(
  { client, recent }: Pick<StatusWriterOptions, 'client' | 'recent'>,
  type: ResourceType<T>,
  object: T,
  signal: AbortSignal,
): Promise<boolean> {
  const live = await ignoreNotFound(client.get(type, nameOf(object), { signal }));
  if (live === undefined) return false;
  recent.wrote(type, live);
  const { uid, generation, deletionTimestamp } = live.metadata;
  return uid === object.metadata.uid && generation === object.metadata.generation && deletionTimestamp === undefined;
}
