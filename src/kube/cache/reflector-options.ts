/** What a reflector is given: what to list and watch, and who receives it. */
import type { Logger } from 'pino';
import type { Clock, Random } from '../clock/clock.ts';
import type { ResourceType } from '../types/resource.ts';
import type { KubeObject } from '../types/types.ts';
import type { KubeClient } from '../client/client.ts';
import type { Outage } from './outage.ts';
import type { RelistReason, RestoredError } from './relist.ts';

/** What a reflector, and so an informer, calls. */
export type ReflectorClient = Pick<KubeClient, 'list' | 'listAll' | 'watch' | 'servedVersions'>;

/** Receives what a reflector lists and watches. */
export interface ReflectorTarget<T extends KubeObject> {
  /**
   * Called for every object before `replace`, `upsert` and `delete`, which get what it returns. `afresh`: what the target has of it may have
   * the same version and be something else.
   */
  prepare(object: T, afresh: boolean): T;
  /** A complete list. `afresh`: nothing that the target has may stay. */
  replace(objects: T[], afresh: boolean): void;
  upsert(object: T): void;
  delete(object: T): void;
  /** After the first `replace`. */
  synced?(): void;
  /** Once `forbidden` has become defined. */
  forbidden?(): void;
  /** The server's data were restored from a backup: what was derived from the objects before is of a cluster that is no more. */
  restored?(error: RestoredError): void;
}

/** Receives what is to be counted: metrics are attached here. */
export interface ReflectorObserver {
  /** A list is complete. */
  listed?(type: ResourceType): void;
  /** A watch has ended, or a list or a watch has failed. */
  watchEnded?(type: ResourceType, reason: RelistReason): void;
}

/** What to list and watch, and where to put it. */
export interface ReflectorOptions<T extends KubeObject> {
  client: ReflectorClient;
  type: ResourceType<T>;
  target: ReflectorTarget<T>;
  clock: Clock;
  random: Random;
  /** Default: all namespaces. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  log?: Logger | undefined;
  observer?: ReflectorObserver | undefined;
  /** Shared by all reflectors of a client. Without it a lost connection is retried after the back-off only. */
  outage?: Outage | undefined;
}
