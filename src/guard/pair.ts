/** One client's connection and the one to the server that is made for it: what a client ends, ends there, too. */
import { messageOf } from '../copilot/index.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import { ClientFrames, refusalBody } from './client-frames.ts';
import type { HeldGrant } from './fence.ts';
import type { Line, LineEvents } from './line.ts';
import { ServerFrames } from './server-frames.ts';
import type { Caller, Refusal, Sessions } from './sessions.ts';

export interface PairOptions {
  /** The client's connection, which is established. */
  readonly client: (events: LineEvents) => Line;
  /** Begins to connect to the server. */
  readonly dial: (events: LineEvents) => Line;
  readonly sessions: Pick<Sessions, 'grant' | 'call'>;
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
  #clientState: 'Open' | 'Ended' | 'Closed' = 'Open';
  #serverState: 'Open' | 'Ended' | 'Closed' = 'Open';

  constructor({ client, dial, sessions, readGrant, observer }: PairOptions) {
    this.#observer = observer;
    this.#fromClient = new ClientFrames({
      caller: this,
      sessions,
      readGrant,
      write: (bytes) => this.#toServer(bytes),
      answer: (body) => this.#fromServer.insert(body),
      await: (id, underWay) => this.#await(id, underWay),
      kept: (change) => {
        this.#kept += change;
        this.#settle();
      },
      refused: (method, refusal) => observer.refused(method, refusal),
    });
    this.#fromServer = new ServerFrames({
      write: (bytes) => this.#toClient(bytes),
      refuse: (id, refusal) => this.#fromServer.insert(refusalBody(id, refusal)),
      answered: () => this.#settle(),
    });
    this.#client = client({
      connected: () => undefined,
      data: (chunk) => this.#push('client', () => this.#fromClient.push(chunk)),
      drained: () => this.#server.resume(),
      ended: () => this.#clientLeft('Ended'),
      closed: () => this.#clientLeft('Closed'),
    });
    // Nothing is kept for a server that is not there.
    this.#client.pause();
    this.#server = dial({
      connected: () => {
        this.#isConnected = true;
        this.#client.resume();
      },
      data: (chunk) => this.#push('server', () => this.#fromServer.push(chunk)),
      drained: () => this.#client.resume(),
      ended: () => this.#serverLeft('Ended'),
      closed: () => this.#serverLeft('Closed'),
    });
  }

  get isGone(): boolean {
    return this.#clientState === 'Closed' || this.#serverState !== 'Open';
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

  #toServer(bytes: Buffer): void {
    if (this.#serverState === 'Open' && !this.#server.write(bytes)) this.#client.pause();
  }

  #toClient(bytes: Buffer): void {
    if (this.#clientState !== 'Closed' && !this.#client.write(bytes)) this.#server.pause();
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
