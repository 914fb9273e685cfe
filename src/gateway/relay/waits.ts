/** What a session waits for of its clients: permissions, client tools, elicitations. The server asks by events, once. */
import { declares } from './declarations.ts';
import { endsWait, waitOf, type WaitKind } from './events.ts';
import type { Declaration, SessionClient } from './model.ts';
import type { RelayObserver } from './observer.ts';

interface Wait {
  readonly kind: WaitKind;
  /** The event, as the server sent it. */
  readonly body: Buffer;
  readonly type: string;
  /** What a client must have declared, for `One`. */
  readonly name: string;
  /** Who has it, for `One`. */
  offeredTo: SessionClient | undefined;
  /** Ends it, because nobody can answer. */
  deadline: { cancel(): void } | undefined;
}

export interface WaitsOptions {
  readonly limit: number;
  readonly maxBytes: number;
  readonly attached: () => Iterable<readonly [SessionClient, Declaration]>;
  /** Calls `fn` when the time is over in which somebody who can answer may come. */
  readonly setDeadline: (fn: () => void) => { cancel(): void };
  /** Answers in place of the clients. */
  readonly deny: (requestId: string, kind: WaitKind) => void;
  readonly observer: Pick<RelayObserver, 'unattended'>;
}

/** The open ones of one session. */
export class Waits {
  readonly #options: WaitsOptions;
  readonly #open = new Map<string, Wait>();
  /** Of the bodies of all. */
  #bytes = 0;

  constructor(options: WaitsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Takes an event that the relay looks into. Returns the one client that it is for, `Nobody`, or undefined: it is for all.
   * The bytes of the body are copied if they are needed later.
   */
  take(type: string, data: Readonly<Record<string, unknown>>, body: Buffer): SessionClient | 'Nobody' | undefined {
    const { requestId } = data;
    if (typeof requestId !== 'string') return undefined;
    const kind = waitOf(type, data);
    // The same id again is another question in place of the one before.
    if (kind !== undefined || endsWait(type)) this.#end(requestId);
    const { limit, maxBytes } = this.#options;
    // A server that asks without end is its own harm: beyond the limits nothing is kept, and all are told.
    if (kind === undefined || this.#open.size >= limit || this.#bytes + body.length > maxBytes) return undefined;
    const named = kind.name === undefined ? '' : data[kind.name];
    const name = typeof named === 'string' ? named : '';
    const wait: Wait = { kind, body: Buffer.from(body), type, name, offeredTo: undefined, deadline: undefined };
    this.#open.set(requestId, wait);
    this.#bytes += body.length;
    if (kind.audience === 'One') wait.offeredTo = this.#lastThatDeclared(wait);
    this.#setDeadline(requestId, wait);
    return kind.audience === 'One' ? (wait.offeredTo ?? 'Nobody') : undefined;
  }

  /** Offers a client that has just attached what it can answer. */
  offer(client: SessionClient, declaration: Declaration): void {
    for (const [requestId, wait] of this.#open) {
      if (wait.kind.audience === 'All') client.deliver(wait.body, wait.type);
      else if (wait.offeredTo === undefined && this.#canAnswer(wait, declaration)) this.#give(wait, client);
      this.#setDeadline(requestId, wait);
    }
  }

  /** A client is gone: what it had alone goes to another one that declared it. */
  leave(client: SessionClient): void {
    for (const [requestId, wait] of this.#open) {
      if (wait.offeredTo === client) {
        wait.offeredTo = undefined;
        const next = this.#lastThatDeclared(wait);
        if (next !== undefined) this.#give(wait, next);
      }
      this.#setDeadline(requestId, wait);
    }
  }

  /** The server that waited is gone. */
  clear(): void {
    for (const requestId of this.#open.keys()) this.#end(requestId);
  }

  #give(wait: Wait, client: SessionClient): void {
    wait.offeredTo = client;
    client.deliver(wait.body, wait.type);
  }

  #end(requestId: string): void {
    const wait = this.#open.get(requestId);
    if (wait === undefined) return;
    wait.deadline?.cancel();
    this.#open.delete(requestId);
    this.#bytes -= wait.body.length;
  }

  /** Runs the deadline exactly while nobody can answer. */
  #setDeadline(requestId: string, wait: Wait): void {
    const isAttended = wait.kind.audience === 'One' ? wait.offeredTo !== undefined : this.#hasClients();
    if (isAttended) {
      wait.deadline?.cancel();
      wait.deadline = undefined;
    } else {
      wait.deadline ??= this.#options.setDeadline(() => {
        this.#end(requestId);
        this.#options.observer.unattended(wait.type);
        this.#options.deny(requestId, wait.kind);
      });
    }
  }

  #hasClients(): boolean {
    for (const _ of this.#options.attached()) return true;
    return false;
  }

  #lastThatDeclared(wait: Wait): SessionClient | undefined {
    const able = [...this.#options.attached()].findLast(([, declaration]) => this.#canAnswer(wait, declaration));
    return able?.[0];
  }

  #canAnswer({ kind: { list }, name }: Wait, declaration: Declaration): boolean {
    return list !== undefined && declares(declaration, list, name);
  }
}
