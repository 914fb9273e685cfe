/** The clients that are attached to a session, with what each has declared. */
import type { Declaration, SessionClient } from '../model.ts';

/** Of one session. */
export class Attached {
  /** In the order of attachment. */
  readonly #clients = new Map<SessionClient, Declaration>();
  /** What the last client that left had declared, for a turn that goes on without one. */
  #left: Declaration | undefined;

  get clients(): Iterable<SessionClient> {
    return this.#clients.keys();
  }

  get size(): number {
    return this.#clients.size;
  }

  /** Each with what it declared. */
  get entries(): Iterable<readonly [SessionClient, Declaration]> {
    return this.#clients;
  }

  /** What they declare. */
  get declarations(): readonly Declaration[] {
    return [...this.#clients.values()];
  }

  /** The same, to load the session with it: without a client, what the last one had declared. */
  get loadedWith(): readonly Declaration[] {
    if (this.#clients.size > 0) return this.declarations;
    return this.#left === undefined ? [] : [this.#left];
  }

  has(client: object): boolean {
    const clients: ReadonlyMap<object, Declaration> = this.#clients;
    return clients.has(client);
  }

  /** What the client has declared; undefined: it is not attached. */
  declarationOf(client: SessionClient): Declaration | undefined {
    return this.#clients.get(client);
  }

  /** Adds a client, or changes what it declared. */
  set(client: SessionClient, declaration: Declaration): void {
    this.#clients.set(client, declaration);
  }

  /** Returns what the client had declared; undefined: it was not attached. */
  remove(client: SessionClient): Declaration | undefined {
    const declaration = this.#clients.get(client);
    if (!this.#clients.delete(client)) return undefined;
    this.#left = declaration;
    return declaration;
  }

  clear(): void {
    this.#clients.clear();
  }
}
