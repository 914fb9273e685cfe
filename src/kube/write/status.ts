/** Writes the status subresource, and only if it differs. */
import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '../client/client.ts';
import { isConflict, isNotFound } from '../types/errors.ts';
import { ignoreNotFound } from '../types/not-found.ts';
import type { RecentWrites } from './recent-writes.ts';
import type { ResourceType } from '../types/resource.ts';
import { nameOf, type KubeObject } from '../types/types.ts';

/**
 * How the write of a status ended. `unchanged`: it was so already and nothing was sent. `gone`: so is the object.
 * `conflict`: the object has changed meanwhile, and what to say of it is for the next pass to decide.
 */
export type StatusWrite = 'unchanged' | 'written' | 'gone' | 'conflict';

export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** Our own writes, until the cache shows them. */
  readonly recent: RecentWrites;
  readonly fieldManager: string;
}

/**
 * Writes the status of an object if it differs, with the resourceVersion that the object was read with: what a late
 * cache leads to is refused instead of told. Throws the client's other errors.
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
    // However late the cache is, the next pass knows.
    const live = await ignoreNotFound(client.get(type, nameOf(object), { signal }));
    if (live !== undefined) recent.wrote(type, live);
    return 'conflict';
  }
}

/**
 * Whether an object is as it was read, asked of the API server: for what can't be undone, a late cache is not believed. What
 * the API server says counts until the cache shows it.
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
