/** What a session waits for of its clients: permissions, client tools and whatever else its server asks by events, once. */
import type { RequestId } from '../../../copilot/index.ts';
import { OBSERVES, endsWait, waitOf, type WaitKind } from '../journal/events.ts';
import { Alone } from './first-asked.ts';
import type { Declaration, SessionClient } from '../model.ts';
import { decideNobody, type NobodyDecision } from '../nobody.ts';
import { ableOf, canAnswer, type Wait, type WaitsOptions } from './wait.ts';

const PERMISSION = 'permission.requested';

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

  /** For how many the session waits, but for those of which the request is open as well. */
  get size(): number {
    return this.#work.filter(({ twin }) => twin === undefined).length;
  }

  /** Those for which something waits. */
  get #work(): readonly Wait[] {
    return [...this.#open.values()].filter(({ kind }) => kind.lifetime !== 'Aside');
  }

  /** Whether permissions are all that it waits for: people decide on them, and a server keeps them on the disk. */
  get isForPermissions(): boolean {
    const work = this.#work;
    return work.length > 0 && work.every(({ type }) => type === PERMISSION);
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
    if (kind !== undefined || endsWait(type)) this.#answered(requestId);
    const wait = kind && this.#opened(requestId, type, kind, data, body);
    if (kind === undefined || wait === undefined) return undefined;
    if (kind.audience === 'One') wait.offeredTo = this.#lastThatDeclared(wait);
    if (kind.isForPerson === true) {
      const { turnUser, setAlone } = this.#options;
      wait.alone.begin(this.#able(wait), turnUser(), () => setAlone(() => this.#offerOthers(wait)));
    }
    const nobody = this.#nobodyFor(wait);
    if (nobody === undefined) this.#setDeadline(requestId, wait);
    else {
      this.#options.onNobody(type, nobody);
      this.#giveUp(requestId, wait);
    }
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
    const subject = kind.twin === undefined ? undefined : data[kind.twin.field];
    const unattended = {
      offeredTo: undefined,
      deadline: undefined,
      isReserved: false,
      isGiven: false,
      twin: undefined,
      isAborted: false,
    };
    const alone = new Alone();
    const wait: Wait = { kind, body: Buffer.from(body), type, name, subject, alone, ...unattended };
    this.#open.set(requestId, wait);
    this.#bytes += body.length;
    return wait;
  }

  /** Offers a client that has just attached what it can answer, but for what it has already. */
  offer(client: SessionClient, declaration: Declaration, had: readonly string[] = []): void {
    for (const [requestId, wait] of this.#open) {
      if (had.includes(requestId)) this.keep(requestId, client);
      else if (wait.kind.audience === 'All') {
        if (wait.alone.isFor(client)) client.deliver(wait.body, wait.type);
      } else if (isFree(wait) && canAnswer(wait, declaration)) this.#give(wait, client);
      this.#setDeadline(requestId, wait);
    }
  }

  /** A client is gone: what it had alone goes to another one that declared it. */
  leave(client: SessionClient): void {
    for (const [requestId, wait] of this.#open) {
      if (wait.offeredTo === client) {
        wait.offeredTo = undefined;
        wait.isReserved = false;
        this.#giveNext(wait);
      }
      if (!wait.isGiven && wait.alone.isOn && !wait.alone.isThere(this.#able(wait))) this.#offerOthers(wait);
      this.#setDeadline(requestId, wait);
    }
  }

  /** Whether a client has what is for all: the user of the turn may have it alone. */
  isFor(requestId: unknown, client: SessionClient): boolean {
    const wait = typeof requestId === 'string' ? this.#open.get(requestId) : undefined;
    return wait === undefined || wait.alone.isFor(client);
  }

  /** The server asks by this request what it has asked by the event before. */
  pair(id: RequestId, method: string, params: Readonly<Record<string, unknown>>): void {
    const isTwin = ({ kind: { twin }, twin: known, subject }: Wait): boolean =>
      twin?.method === method && known === undefined && params[twin.field] === subject;
    const wait = [...this.#open.values()].find(isTwin);
    if (wait !== undefined) wait.twin = id;
  }

  /** The turn that runs is being aborted. */
  aborted(): void {
    for (const wait of this.#open.values()) wait.isAborted = wait.kind.lifetime === 'Turn';
  }

  /** No turn runs any more. Of what it had asked and was aborted the server says nothing. */
  turnEnded(): void {
    for (const [requestId, { isAborted }] of this.#open) if (isAborted) this.#end(requestId);
  }

  /** Ids of what the client has and has yet to answer. */
  offeredTo(client: SessionClient): string[] {
    return [...this.#open].flatMap(([requestId, wait]) => {
      const isOffered = wait.kind.audience === 'All' ? wait.alone.isFor(client) : wait.offeredTo === client;
      return isOffered ? [requestId] : [];
    });
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
      this.#giveNext(wait);
      this.#setDeadline(requestId, wait);
    }
  }

  /** The server is given an answer: who gave it may leave before the server says by its event that it was answered. */
  giving(requestId: string): void {
    const wait = this.#open.get(requestId);
    if (wait !== undefined) wait.isGiven = true;
  }

  /** The server has not taken the answer. */
  notTaken(requestId: string): void {
    const wait = this.#open.get(requestId);
    if (wait === undefined) return;
    wait.isGiven = false;
    this.#giveNext(wait);
    this.#setDeadline(requestId, wait);
  }

  /** The server that waited is gone, and nobody waits any longer. */
  clear(): void {
    for (const requestId of this.#open.keys()) this.#end(requestId);
  }

  /** The server is away: what it has on its disk is valid still, and nobody can be too late. Everything else was lost with its process. */
  suspend(): void {
    for (const [requestId, wait] of this.#open) {
      if (wait.kind.lifetime === 'Journal') this.#stopDeadline(wait);
      else this.#end(requestId);
    }
  }

  /** The server is back, and waits for those that `isPending` still. */
  resume(isPending: (requestId: string, type: string) => boolean): void {
    for (const [requestId, wait] of this.#open) {
      if (isPending(requestId, wait.type)) this.notTaken(requestId);
      else this.#end(requestId);
    }
  }

  /** What nobody has who can answer it alone goes to the last one that can. */
  #giveNext(wait: Wait): void {
    const next = wait.kind.audience === 'One' && isFree(wait) ? this.#lastThatDeclared(wait) : undefined;
    if (next !== undefined) this.#give(wait, next);
  }

  #give(wait: Wait, client: SessionClient): void {
    wait.offeredTo = client;
    client.deliver(wait.body, wait.type);
  }

  #answered(requestId: string): void {
    const twin = this.#open.get(requestId)?.twin;
    this.#end(requestId);
    if (twin !== undefined) this.#options.twins.close(twin);
  }

  #end(requestId: string): void {
    const wait = this.#open.get(requestId);
    if (wait === undefined) return;
    wait.deadline?.cancel();
    wait.alone.end();
    this.#open.delete(requestId);
    this.#bytes -= wait.body.length;
  }

  /** Runs the deadline exactly while nobody can answer. */
  #setDeadline(requestId: string, wait: Wait): void {
    if (this.#isAttended(wait)) this.#stopDeadline(wait);
    else if (wait.kind.isOfCall === true) this.#giveUp(requestId, wait);
    else wait.deadline ??= this.#options.setDeadline(() => this.#giveUp(requestId, wait));
  }

  #stopDeadline(wait: Wait): void {
    wait.deadline?.cancel();
    wait.deadline = undefined;
  }

  #giveUp(requestId: string, wait: Wait): void {
    wait.deadline = undefined;
    // A client may have said meanwhile that it answers.
    if (this.#isAttended(wait)) return;
    this.#end(requestId);
    const { observer, deny, twins } = this.#options;
    // A server says better by itself that nobody was there than by an answer that it is given.
    if (wait.twin !== undefined) return twins.deny(wait.twin);
    observer.unattended(wait.type);
    deny(requestId, wait.kind);
  }

  /**
   * Why a new one waits for nobody: the server asks it by a flag that it does not take back. What is asked by a request as well ends with that, and
   * without clients the next one may say that it answers.
   */
  #nobodyFor(wait: Wait): NobodyDecision | undefined {
    const { flag, twin } = wait.kind;
    const { isExpected, attached } = this.#options;
    if (flag === undefined || twin !== undefined || this.#isAttended(wait)) return undefined;
    const hasOthers = [...attached()].length > 0;
    const mayCome = isExpected(flag, OBSERVES);
    const decision = decideNobody({ asks: 'Program', isExpected: mayCome, hasOthers, isAborted: false });
    return decision.action === 'Hold' ? undefined : decision;
  }

  /** Whether somebody is there who has said that it answers such. */
  #isAttended(wait: Wait): boolean {
    if (wait.isGiven) return true;
    return wait.kind.audience === 'One' ? wait.offeredTo !== undefined : this.#able(wait).length > 0;
  }

  #able(wait: Wait): readonly SessionClient[] {
    const { attached, hasInterest } = this.#options;
    return ableOf(wait, attached(), hasInterest(wait.type));
  }

  /** Gives it to those who do not have it, because the user of the turn had it alone. */
  #offerOthers(wait: Wait): void {
    const { alone, body, type } = wait;
    const others = [...this.#options.attached()].flatMap(([client]) => (alone.isFor(client) ? [] : [client]));
    alone.end();
    for (const client of others) client.deliver(body, type);
  }

  #lastThatDeclared(wait: Wait): SessionClient | undefined {
    return [...this.#options.attached()].findLast(([, declaration]) => canAnswer(wait, declaration))?.[0];
  }
}

/** Whether nobody has it, of what only one client gets. */
function isFree({ offeredTo, isReserved, isGiven }: Wait): boolean {
  return offeredTo === undefined && !isReserved && !isGiven;
}
