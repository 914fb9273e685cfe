/** Remembers servers whose Deployment could not be written after their drain: a drain that nothing follows is not begun again for each attempt. */
import { keyOf, type NamespacedName } from '../kube/types/types.ts';

/** `isForetold`: a dry run had said before that drain that the write would be taken, so another one says nothing. */
interface Refusal {
  readonly isForetold: boolean;
}

/** Of the servers of all tenants, which are named by their index. */
export class RefusedWrites {
  readonly #refused = new Map<string, ReadonlyMap<number, Refusal>>();
  /** Servers that drain because a dry run was taken. */
  readonly #foretold = new Map<string, ReadonlySet<number>>();

  of(tenant: NamespacedName): ReadonlySet<number> {
    return new Set(this.#refused.get(keyOf(tenant))?.keys());
  }

  /** Those of which a dry run says whether their write would be taken now. */
  testable(tenant: NamespacedName): ReadonlySet<number> {
    const refused = [...(this.#refused.get(keyOf(tenant)) ?? [])];
    return new Set(refused.flatMap(([index, { isForetold }]) => (isForetold ? [] : [index])));
  }

  /** A dry run of their writes was taken: they are refused no more, and drain before they are written. */
  taken(tenant: NamespacedName, servers: readonly number[]): void {
    const key = keyOf(tenant);
    const left = [...(this.#refused.get(key) ?? [])].filter(([index]) => !servers.includes(index));
    replace(this.#refused, key, new Map(left));
    replace(this.#foretold, key, new Set([...(this.#foretold.get(key) ?? []), ...servers]));
  }

  /** Those that could not be written this time, and those that drain still. */
  record(tenant: NamespacedName, refused: ReadonlySet<number>, draining: ReadonlySet<number>): void {
    const key = keyOf(tenant);
    const before = this.#refused.get(key);
    const foretold = this.#foretold.get(key) ?? new Set();
    const isForetold = (index: number): boolean => foretold.has(index) || before?.get(index)?.isForetold === true;
    replace(this.#refused, key, new Map([...refused].map((index) => [index, { isForetold: isForetold(index) }])));
    replace(this.#foretold, key, new Set([...foretold].filter((index) => draining.has(index))));
  }

  forget(tenant: NamespacedName): void {
    this.#refused.delete(keyOf(tenant));
    this.#foretold.delete(keyOf(tenant));
  }
}

/** What is empty takes no room. */
function replace<T extends { readonly size: number }>(all: Map<string, T>, key: string, next: T): void {
  if (next.size === 0) all.delete(key);
  else all.set(key, next);
}
