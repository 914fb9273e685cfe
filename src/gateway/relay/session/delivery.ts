/** Brings the events of a session to its clients: one that catches up gets what comes meanwhile after what it has missed. */
import type { EventRun } from '../../../copilot/index.ts';
import { isPiece } from '../journal/events.ts';
import type { SessionClient } from '../model.ts';

/** An event that is kept for later. */
export interface KeptEvent {
  readonly type: string;
  readonly body: Buffer | string;
  /** Undefined: it is in no journal. */
  readonly id: string | undefined;
}

/** An answer to what a client has asked about the session, which must not overtake what came before it. */
interface KeptAnswer {
  readonly give: () => void;
}

interface Behind {
  readonly kept: (KeptEvent | KeptAnswer)[];
  bytes: number;
}

/** What an id takes in memory. */
const ID_BYTES = 128;

/** Of one session. */
export class Delivery {
  readonly #clients: () => Iterable<SessionClient>;
  readonly #maxBytes: number;
  /** What has come since for each client that catches up. */
  readonly #behind = new Map<SessionClient, Behind>();
  /**
   * Ids of what clients were told from the journal, which may have an event before the server tells it: until it does, or until the end of the
   * turn, because what it told before a client came it does not tell again.
   */
  readonly #told = new Map<SessionClient, Set<string>>();

  /** At most `maxBytes` are kept for a client; with more it gets what there is, and is not brought up to date. */
  constructor(clients: () => Iterable<SessionClient>, maxBytes: number) {
    this.#clients = clients;
    this.#maxBytes = maxBytes;
  }

  /** Of what is kept for clients that catch up, or have. */
  get bytes(): number {
    const kept = [...this.#behind.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return [...this.#told.values()].reduce((sum, { size }) => sum + size * ID_BYTES, kept);
  }

  toAll(event: KeptEvent, isFor: (client: SessionClient) => boolean = () => true): void {
    for (const client of this.#clients()) if (isFor(client)) this.to(client, event);
  }

  /** Those who catch up do without: the event that follows has all that is in its pieces. */
  piecesToAll(run: EventRun): void {
    for (const client of this.#clients()) if (!this.#behind.has(client)) client.deliverPieces(run);
  }

  to(client: SessionClient, event: KeptEvent): void {
    if (this.#wasTold(client, event)) return;
    const behind = this.#behind.get(client);
    if (behind === undefined) return client.deliver(event.body, event.type);
    if (isPiece(event.type)) return;
    const body = typeof event.body === 'string' ? event.body : Buffer.from(event.body);
    this.#keep(client, behind, { ...event, body }, body.length);
  }

  /**
   * Calls `give`, which takes `bytes` until then, when the client has got what it has missed. An application that hears by an answer that a
   * turn has ended, and then of its end, takes that for the end of its next one.
   */
  answer(client: SessionClient, bytes: number, give: () => void): void {
    const behind = this.#behind.get(client);
    if (behind === undefined) give();
    else this.#keep(client, behind, { give }, bytes);
  }

  /** From now on events are kept for the client. */
  hold(client: SessionClient): void {
    if (!this.#behind.has(client)) this.#behind.set(client, { kept: [], bytes: 0 });
  }

  /** Whether an event of this type has come meanwhile for a client that catches up. */
  keeps(client: SessionClient, type: string): boolean {
    return this.#behind.get(client)?.kept.some((each) => 'type' in each && each.type === type) === true;
  }

  /** The client has these events from the journal. */
  told(client: SessionClient, ids: Iterable<string>): void {
    this.#told.set(client, new Set(ids));
  }

  /** The turn has ended, and all have been told so but those who catch up: the server tells nothing of it any more. */
  turnEnded(): void {
    for (const client of this.#told.keys()) if (!this.#behind.has(client)) this.#told.delete(client);
  }

  isBehind(client: SessionClient): boolean {
    return this.#behind.has(client);
  }

  /** Gives the client what has come since, but for what it was told, and for events that are known. */
  release(client: SessionClient, isKnown: (event: KeptEvent) => boolean = () => false): void {
    const { kept = [] } = this.#behind.get(client) ?? {};
    this.#behind.delete(client);
    for (const each of kept) {
      if ('give' in each) each.give();
      else if (!this.#wasTold(client, each) && !isKnown(each)) client.deliver(each.body, each.type);
    }
  }

  /** The client is gone, or wants no event of it. */
  drop(client: SessionClient): void {
    this.release(client, () => true);
    this.#told.delete(client);
  }

  /** Whether the client has the event from the journal. It is asked once for each. */
  #wasTold(client: SessionClient, { id }: KeptEvent): boolean {
    const ids = this.#told.get(client);
    if (id === undefined || ids?.delete(id) !== true) return false;
    if (ids.size === 0) this.#told.delete(client);
    return true;
  }

  #keep(client: SessionClient, behind: Behind, each: KeptEvent | KeptAnswer, bytes: number): void {
    behind.kept.push(each);
    behind.bytes += bytes;
    if (behind.bytes > this.#maxBytes) this.release(client);
  }
}
