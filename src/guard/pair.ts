/** One client's connection and the one to the server that is made for it: what a client ends, ends there, too. */
import { messageOf } from '../copilot/index.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import { ClientFrames, refusalBody } from './client-frames.ts';
import type { HeldGrant } from './fence.ts';
import type { Line, LineEvents } from './line.ts';
import { ServerFrames } from './server-frames.ts';
import type { Refusal } from './refusals.ts';
import type { Caller, Sessions } from './sessions.ts';

export interface PairOptions {
  /** The client's connection, which is established. */
  readonly client: (events: LineEvents) => Line;
  /** Begins to connect to the server. */
  readonly dial: (events: LineEvents) => Line;
  readonly sessions: Pick<Sessions, 'grant' | 'call' | 'epochs'>;
  /** @throws InvalidGrantError */
  readonly readGrant: (text: unknown) => SessionGrant;
  readonly observer: PairObserver;
}

/** What happens on a connection. */
export interface PairObserver {
  /** The server accepts no connection, or has not yet. */
  unreachable(): void;
  refused(method: string, refusal: Refusal): void;
  /** Somebody does not speak the protocol: the connection is closed. */
  broken(side: 'client' | 'server', message: string): void;
  /** The client has sent something, and so many bytes of a frame that has not arrived in full are kept now. */
  heard(partialBytes: number): void;
  /** Both connections are closed. */
  ended(): void;
}

/** Ends by itself. */
export class Pair implements Caller {
  readonly held = new Map<string, HeldGrant>();
  readonly #observer: PairObserver;
  readonly #client: Line;
  readonly #server: Line;
  readonly #fromClient: ClientFrames;
  readonly #fromServer: ServerFrames;
  /** Calls of the client that are yet to be passed on. */
  #kept = 0;
  #isConnected = false;
  /** A side has yet to read what was sent to it. */
  #isServerSlow = false;
  #isClientSlow = false;
  /** The client has yet to read what the guard itself has answered. */
  #isUnread = false;
  #isGranted = false;
  #clientState: 'Open' | 'Ended' | 'Closed' = 'Open';
  #serverState: 'Open' | 'Ended' | 'Closed' = 'Open';

  constructor({ client, dial, sessions, readGrant, observer }: PairOptions) {
    this.#observer = observer;
    this.#fromClient = new ClientFrames({
      caller: this,
      sessions,
      readGrant,
      write: (bytes) => this.#toServer(bytes),
      answer: (body) => this.#answer(body),
      await: (id, underWay) => this.#await(id, underWay),
      kept: (change) => {
        this.#kept += change;
        this.#settle();
      },
      refused: (method, refusal) => observer.refused(method, refusal),
      signed: () => (this.#isGranted = true),
    });
    this.#fromServer = new ServerFrames({
      write: (bytes) => this.#toClient(bytes),
      refuse: (id, refusal) => this.#answer(refusalBody(id, refusal)),
      answered: () => this.#settle(),
      released: () => this.#listen(),
    });
    this.#client = client({
      connected: () => undefined,
      data: (chunk) => this.#hear(chunk),
      drained: () => {
        this.#isClientSlow = false;
        this.#server.resume();
        this.#listen();
      },
      ended: () => this.#clientLeft('Ended'),
      closed: () => this.#clientLeft('Closed'),
    });
    // Nothing is kept for a server that is not there.
    this.#client.pause();
    this.#server = dial({
      connected: () => {
        this.#isConnected = true;
        this.#listen();
      },
      data: (chunk) => this.#push('server', () => this.#fromServer.push(chunk)),
      drained: () => {
        this.#isServerSlow = false;
        this.#listen();
      },
      ended: () => this.#serverLeft('Ended'),
      closed: () => this.#serverLeft('Closed'),
    });
  }

  get isGone(): boolean {
    return this.#clientState === 'Closed' || this.#serverState !== 'Open';
  }

  /** Whether its client has had a grant, be it one that is late: loads and closes may be under way there, and on no other connection. */
  get isGranted(): boolean {
    return this.#isGranted;
  }

  /** Closes it, because others need what it takes. */
  drop(why: string): void {
    this.#observer.broken('client', why);
    this.destroy();
  }

  /** Closes both connections at once. */
  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #push(side: 'client' | 'server', take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#observer.broken(side, messageOf(error));
      this.destroy();
    }
  }

  #await(...[id, underWay]: Parameters<ServerFrames['await']>): boolean {
    if (this.#serverState !== 'Open') {
      void underWay.ended(false);
      return true;
    }
    return this.#fromServer.await(id, underWay);
  }

  #hear(chunk: Buffer): void {
    this.#push('client', () => this.#fromClient.push(chunk));
    if (this.#clientState !== 'Closed') this.#observer.heard(this.#fromClient.partialBytes);
  }

  /** Who does not read what is answered here is not listened to, or answers would pile up. What the server answers, that has to wait with. */
  #answer(body: string): void {
    if (this.#fromServer.insert(body)) return;
    this.#isUnread = true;
    this.#client.pause();
  }

  /** Listens to the client again, if nothing is in the way. */
  #listen(): void {
    if (this.#isUnread && !this.#isClientSlow && !this.#fromServer.isHolding) this.#isUnread = false;
    if (this.#isConnected && !this.#isServerSlow && !this.#isUnread) this.#client.resume();
  }

  #toServer(bytes: Buffer): void {
    if (this.#serverState !== 'Open' || this.#server.write(bytes)) return;
    this.#isServerSlow = true;
    this.#client.pause();
  }

  #toClient(bytes: Buffer): boolean {
    if (this.#clientState === 'Closed') return true;
    if (this.#client.write(bytes)) return !this.#isClientSlow;
    this.#isClientSlow = true;
    this.#server.pause();
    return false;
  }

  #clientLeft(state: 'Ended' | 'Closed'): void {
    this.#clientState = state;
    // Answers that are waited for have to be read still.
    if (state === 'Closed') this.#server.resume();
    this.#settle();
    this.#endOnce();
  }

  #serverLeft(state: 'Ended' | 'Closed'): void {
    this.#serverState = state;
    if (!this.#isConnected) this.#observer.unreachable();
    // Also one that has only ended its side answers nothing more: a process that is killed does that, and what comes later may take minutes.
    this.#fromServer.lost();
    if (state === 'Ended') this.#client.end();
    else this.#client.finish();
    this.#settle();
    this.#endOnce();
  }

  /**
   * Ends the server's side when its client has left, and not before the last load or close has ended there: until then its session may be
   * written to, and nobody else may close it.
   */
  #settle(): void {
    if (this.#clientState === 'Open' || this.#fromServer.isAwaiting) return;
    // What is kept for a server that has ended is not begun.
    if (this.#clientState === 'Closed' || this.#serverState !== 'Open') this.#server.destroy();
    else if (this.#kept === 0) this.#server.end();
  }

  #endOnce(): void {
    if (this.#clientState === 'Closed' && this.#serverState === 'Closed') this.#observer.ended();
  }
}
