/** What a session waits for of its clients: permissions, client tools, elicitations. The server asks by events, once. */
import { declares } from './declarations.ts';
import { endsWait, waitOf, type WaitKind } from './events.ts';
import type { Declaration, SessionClient } from './model.ts';
import type { RelayObserver } from './observer.ts';

const PERMISSION = 'permission.requested';

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
  /** Whether a client that comes in a moment may have it already, for `One`. */
  isReserved: boolean;
}

export interface WaitsOptions {
  readonly limit: number;
  readonly maxBytes: number;
  readonly attached: () => Iterable<readonly [SessionClient, Declaration]>;
  /** Calls `fn` when the time is over in which somebody who can answer may come. */
  readonly setDeadline: (fn: () => void) => { cancel(): void };
  /** Answers in place of the clients. */
  readonly deny: (requestId: string, kind: WaitKind) => void;
  /** Whether so many bytes more may be kept of the tenant. */
  readonly mayKeep: (bytes: number) => boolean;
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

  /** Of what is open. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Whether permissions are all that it waits for: people decide on them, and a server keeps them on the disk. */
  get isForPermissions(): boolean {
    return this.#open.size > 0 && [...this.#open.values()].every(({ type }) => type === PERMISSION);
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
    const wait = kind && this.#opened(requestId, type, kind, data, body);
    if (kind === undefined || wait === undefined) return undefined;
    if (kind.audience === 'One') wait.offeredTo = this.#lastThatDeclared(wait);
    this.#setDeadline(requestId, wait);
    return kind.audience === 'One' ? (wait.offeredTo ?? 'Nobody') : undefined;
  }

  #opened(
    requestId: string,
    type: string,
    kind: WaitKind,
    data: Readonly<Record<string, unknown>>,
    body: Buffer,
  ): Wait | undefined {
    const { limit, maxBytes, mayKeep } = this.#options;
    // A server that asks without end is its own harm: beyond the limits nothing is kept, and all are told.
    if (this.#open.size >= limit || this.#bytes + body.length > maxBytes || !mayKeep(body.length)) return undefined;
    const named = kind.name === undefined ? '' : data[kind.name];
    const name = typeof named === 'string' ? named : '';
    const unattended = { offeredTo: undefined, deadline: undefined, isReserved: false };
    const wait: Wait = { kind, body: Buffer.from(body), type, name, ...unattended };
    this.#open.set(requestId, wait);
    this.#bytes += body.length;
    return wait;
  }

  /** Offers a client that has just attached what it can answer, but for what it has already. */
  offer(client: SessionClient, declaration: Declaration, had: readonly string[] = []): void {
    for (const [requestId, wait] of this.#open) {
      if (had.includes(requestId)) this.keep(requestId, client);
      else if (wait.kind.audience === 'All') client.deliver(wait.body, wait.type);
      else if (wait.offeredTo === undefined && !wait.isReserved && this.#canAnswer(wait, declaration))
        this.#give(wait, client);
      this.#setDeadline(requestId, wait);
    }
  }

  /** A client is gone: what it had alone goes to another one that declared it. */
  leave(client: SessionClient): void {
    for (const [requestId, wait] of this.#open) {
      if (wait.offeredTo === client) {
        wait.offeredTo = undefined;
        wait.isReserved = false;
        const next = this.#lastThatDeclared(wait);
        if (next !== undefined) this.#give(wait, next);
      }
      this.#setDeadline(requestId, wait);
    }
  }

  /** Ids of what the client has and has yet to answer. */
  offeredTo(client: SessionClient): string[] {
    return [...this.#open].flatMap(([requestId, { kind, offeredTo }]) =>
      kind.audience === 'All' || offeredTo === client ? [requestId] : [],
    );
  }

  has(requestId: string): boolean {
    return this.#open.has(requestId);
  }

  /**
   * A home before this one has asked, which may have given it to a client that comes in a moment. Until {@link release} nobody else gets what
   * only one client does.
   */
  reserve(type: string, data: Readonly<Record<string, unknown>>, body: Buffer): void {
    const { requestId } = data;
    const kind = waitOf(type, data);
    if (typeof requestId !== 'string' || kind === undefined || this.#open.has(requestId)) return;
    const wait = this.#opened(requestId, type, kind, data, body);
    if (wait === undefined) return;
    wait.isReserved = kind.audience === 'One';
    this.#setDeadline(requestId, wait);
  }

  /** The client had it at the home before, and answers it. */
  keep(requestId: string, client: SessionClient): void {
    const wait = this.#open.get(requestId);
    if (wait === undefined) return;
    wait.isReserved = false;
    if (wait.kind.audience === 'One') wait.offeredTo ??= client;
    this.#setDeadline(requestId, wait);
  }

  /** Nobody has come for what was reserved: whoever can answer gets it. */
  release(): void {
    for (const [requestId, wait] of this.#open) {
      if (!wait.isReserved) continue;
      wait.isReserved = false;
      const next = this.#lastThatDeclared(wait);
      if (next !== undefined) this.#give(wait, next);
      this.#setDeadline(requestId, wait);
    }
  }

  /** The server that waited is gone, and nobody waits any longer. */
  clear(): void {
    for (const requestId of this.#open.keys()) this.#end(requestId);
  }

  /** The server is away: what it waits for is valid still, and nobody can be too late. */
  suspend(): void {
    for (const wait of this.#open.values()) {
      wait.deadline?.cancel();
      wait.deadline = undefined;
    }
  }

  /** The server is back, and waits for those that `isPending` still. */
  resume(isPending: (requestId: string, type: string) => boolean): void {
    for (const [requestId, wait] of this.#open) {
      if (isPending(requestId, wait.type)) this.#setDeadline(requestId, wait);
      else this.#end(requestId);
    }
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
