/**
 * Whose turn it is in a session. The server queues prompts of all clients and reports the end of all turns by one
 * `session.idle`, which a client of the Node SDK takes for the end of its own; so there is one client's turn at a time.
 */
import type { Withdrawal } from '../model.ts';
import type { HeldEnd, RelayObserver, TurnEnd } from '../observer.ts';

/** Why a prompt is not sent: too many are held, the server whose turn it waited for is gone, or nobody wants it any more. */
export type SendRefusal = 'TooMany' | 'Lost' | Withdrawal;

interface HeldSend<Client> {
  readonly client: Client;
  readonly send: () => void;
  readonly refuse: (why: SendRefusal) => void;
  readonly bytes: number;
  /** Tells its client how many are before it, itself included, and how many wait; undefined: it is not told. */
  readonly tell: ((place: number, count: number) => void) | undefined;
  /** What it was told last. */
  place: number;
}

/** The state of one session. `Client` is compared by identity. */
export class Turn<Client> {
  /** How often everything was given up: an answer to a prompt of an earlier generation says nothing of this one. */
  generation = 0;
  /** How often nothing ran any more: what runs now is another turn than before. */
  ends = 0;
  readonly #limit: number;
  readonly #maxBytes: number;
  readonly #observer: Pick<RelayObserver, 'turnEnded' | 'heldEnded'>;
  readonly #time: () => number;
  #held: HeldSend<Client>[] = [];
  #owner: Client | undefined;
  #epoch = 0;
  /** Since when it is the owner's, ms since the epoch. */
  #since = 0;
  #isRunning = false;
  /** The first event of the turn that runs. */
  #start: string | undefined;
  /** Prompts of the owner that the server has not answered yet. */
  #unanswered = 0;
  #isAborted = false;
  /** Whether one of them has gone to the server: before, what runs there is not the owner's. */
  #isSent = false;

  /** At most `limit` prompts are held, and at most `maxBytes` of them. `time`: now, ms since the epoch. */
  constructor(
    limit: number,
    maxBytes: number,
    observer: Pick<RelayObserver, 'turnEnded' | 'heldEnded'>,
    time: () => number,
  ) {
    this.#limit = limit;
    this.#maxBytes = maxBytes;
    this.#observer = observer;
    this.#time = time;
  }

  /** Whether the server works on a prompt. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** The first event of the turn that runs; undefined: none runs, or it was not seen. */
  get start(): string | undefined {
    return this.#isRunning ? this.#start : undefined;
  }

  /** Whether a prompt runs, is on its way, or waits. */
  get isBusy(): boolean {
    return this.#isRunning || this.#unanswered > 0 || this.#held.length > 0;
  }

  /** Whether a prompt runs, or was sent and may run. */
  get isTaken(): boolean {
    return this.#isRunning || this.#owner !== undefined;
  }

  /** Whether the server has taken an abort of it: its end is to follow. */
  get isAborted(): boolean {
    return this.#isAborted;
  }

  /** Whether its client has sent a prompt that no server has answered: it may have to wait for a turn of the server. */
  get isAwaited(): boolean {
    return this.#unanswered > 0;
  }

  /** Whose turn runs, or was begun, and since when, in ms since the epoch; undefined: nobody's who is known. It may be gone. */
  get holder(): { readonly client: Client; readonly since: number } | undefined {
    return this.#owner === undefined ? undefined : { client: this.#owner, since: this.#since };
  }

  /** How often a client has become the holder who was not before. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Prompts that wait for another client's turn. */
  get heldCount(): number {
    return this.#held.length;
  }

  /** Whether a turn has not started although the server has taken its prompt. */
  get isStuck(): boolean {
    return this.#owner !== undefined && !this.#isRunning && this.#unanswered === 0;
  }

  /** Whether the turn that runs, or was begun, is the client's. */
  isOf(client: Client): boolean {
    return this.#owner === client;
  }

  /** Whether the client waits for another one's turn, and so must not see its end. */
  holds(client: Client): boolean {
    return this.#held.some((each) => each.client === client);
  }

  /** The same, or its turn has come here, and its prompt has yet to go to the server: it may wait for a turn there, or for the next one. */
  awaits(client: Client): boolean {
    return this.holds(client) || (this.#owner === client && this.#unanswered > 0 && !this.#isSent);
  }

  /** Prompts of the client that wait. */
  heldBy(client: Client): number {
    return this.#held.filter((each) => each.client === client).length;
  }

  /**
   * Calls `send` now or, while another client's turn runs, after it; `refuse` if it can't be kept, or is given up by `end`. A prompt
   * that is held keeps `bytes`. `tell` is called with its place, and again whenever that has changed.
   */
  request(
    client: Client,
    bytes: number,
    send: () => void,
    refuse: (why: SendRefusal) => void,
    tell?: HeldSend<Client>['tell'],
  ): void {
    const isFree = !this.isTaken || this.#owner === client;
    const request = { client, bytes, send, refuse, tell, place: 0 };
    if (isFree) this.#take(request);
    else if (this.#hasRoomFor(bytes)) {
      this.#held.push(request);
      this.#tellPlaces();
    } else {
      this.#observer.heldEnded('TooMany');
      refuse('TooMany');
    }
  }

  /** A prompt of the client goes to the server. */
  sent(client: unknown): void {
    if (client === this.#owner) this.#isSent = true;
  }

  /** The server has answered a prompt of the owner. */
  answered(client: Client, isError: boolean): void {
    if (client !== this.#owner) return;
    this.#unanswered -= 1;
    if (isError && this.#unanswered === 0 && !this.#isRunning) this.#release();
  }

  /** The server works on a prompt. `by`: the event that says so; undefined: it is not known. */
  started(by?: string): void {
    if (!this.#isRunning) this.#start = by;
    this.#isRunning = true;
    this.#isAborted = false;
  }

  /** The same after its server was lost: what began it is what was known of it before. */
  runsOn(): void {
    this.#isRunning = true;
  }

  /** The server has taken an abort of what it works on. */
  aborted(): void {
    this.#isAborted = this.isTaken;
  }

  /** A turn goes on that the client had begun at another home; undefined: nobody who is here. */
  goesOn(client: Client | undefined, by?: string): void {
    if (client !== undefined) this.take(client);
    this.started(by);
  }

  /** A prompt of the client is sent once more that it had sent at another home. */
  take(client: Client): void {
    if (this.#owner === undefined) this.#own(client);
    this.sent(client);
  }

  /** The server has nothing to work on. A prompt that crossed this on its way will begin another turn of the same client. */
  idle(): void {
    this.#stop('Finished');
    if (this.#unanswered === 0) this.#release();
  }

  /** The client is gone: its turn goes on, what it had held is forgotten. */
  leave(client: Client): void {
    for (const { refuse } of this.#takeBack(client, 'ClientGone')) refuse('Left');
  }

  /** The client takes back what it had held. Returns whether there was something. */
  cancel(client: Client): boolean {
    const cancelled = this.#takeBack(client, 'Cancelled');
    for (const { refuse } of cancelled) refuse('Aborted');
    return cancelled.length > 0;
  }

  /** There is no server any more, or no session: nothing runs, and what was held is refused. */
  end(why: TurnEnd & HeldEnd, refusal: SendRefusal = 'Lost'): void {
    const held = this.#held;
    this.generation += 1;
    this.#held = [];
    this.#owner = undefined;
    this.#stop(why);
    this.#unanswered = 0;
    for (const { refuse } of held) {
      this.#observer.heldEnded(why);
      refuse(refusal);
    }
  }

  #stop(why: TurnEnd): void {
    this.ends += 1;
    if (this.#isRunning) this.#observer.turnEnded(why);
    this.#isRunning = false;
    this.#isAborted = false;
  }

  #hasRoomFor(bytes: number): boolean {
    const held = this.#held.reduce((sum, each) => sum + each.bytes, 0);
    return this.#held.length < this.#limit && held + bytes <= this.#maxBytes;
  }

  #takeBack(client: Client, why: HeldEnd): readonly HeldSend<Client>[] {
    const taken = this.#held.filter((each) => each.client === client);
    if (taken.length === 0) return taken;
    this.#held = this.#held.filter((each) => each.client !== client);
    for (let n = 0; n < taken.length; n += 1) this.#observer.heldEnded(why);
    this.#tellPlaces();
    return taken;
  }

  /** To those whose place is another one than they know. */
  #tellPlaces(): void {
    const count = this.#held.length;
    for (const [index, held] of this.#held.entries()) {
      if (held.place === index + 1) continue;
      held.place = index + 1;
      held.tell?.(held.place, count);
    }
  }

  #own(client: Client): void {
    this.#owner = client;
    this.#epoch += 1;
    this.#since = this.#time();
  }

  #release(): void {
    this.#owner = undefined;
    const next = this.#held.shift();
    if (next === undefined) return;
    this.#takeHeld(next);
    // What the same client had sent behind it belongs to the same turn.
    while (this.#held[0]?.client === next.client) this.#takeHeld(this.#held.shift() as HeldSend<Client>);
    this.#tellPlaces();
  }

  #takeHeld(held: HeldSend<Client>): void {
    this.#observer.heldEnded('Sent');
    this.#take(held);
  }

  #take({ client, send }: HeldSend<Client>): void {
    // More of the same turn has begun when that did.
    if (this.#owner !== client) {
      this.#own(client);
      this.#isSent = false;
    }
    this.#isAborted = false;
    this.#unanswered += 1;
    send();
  }
}
