import type { KubeObject, NamespacedName } from './types.ts';

/** Names an index and says under which values an object is found there. */
export type Indexers<T extends KubeObject> = Record<string, (object: T) => string[]>;

/** What changed in a store. An object that came back under its name with another UID is a `deleted` and an `added`. */
export type Delta<T extends KubeObject> =
  { type: 'added'; object: T } | { type: 'updated'; old: T; object: T } | { type: 'deleted'; object: T };

/** The reading half: what reconcilers get. Objects are shared by all readers and must not be changed. */
export interface ReadonlyStore<T extends KubeObject> {
  get(key: string | NamespacedName): T | undefined;
  list(namespace?: string): T[];
  /** Objects whose indexer gave `value`. Throws when there is no such index. */
  byIndex(name: string, value: string): T[];
  keys(): IterableIterator<string>;
  readonly size: number;
}
