/** The durable events of a session that its clients got last: what the journal is compared with after its server was lost. */
import type { Fact } from './facts.ts';

/** One event. */
export interface TrailEntry {
  /** Its place among all durable events of the session that were delivered, from 1. */
  readonly position: number;
  readonly fact: Fact | undefined;
}

/** The same with its id, as another replica is told. */
export interface KnownEvent extends TrailEntry {
  readonly id: string;
}

/** Events that are remembered of one session. A server writes them to the disk within 150 ms. */
const REMEMBERED = 128;

/** Of one session. */
export class Trail {
  /** By id, in the order of delivery. */
  readonly #entries = new Map<string, TrailEntry>();
  #position = 0;

  /** `known`: what another replica knows of it, oldest first. */
  constructor(known: readonly KnownEvent[] = []) {
    this.learn(known, []);
  }

  /** Before anything was delivered: what another replica knows of it, and what its journal has after that. */
  learn(known: readonly KnownEvent[], after: readonly Pick<KnownEvent, 'id' | 'fact'>[]): void {
    for (const { id, position, fact } of known) {
      this.#entries.set(id, { position, fact });
      this.#position = position;
    }
    for (const { id, fact } of after) if (!this.has(id)) this.add(id, fact);
  }

  /** All that are remembered, oldest first. */
  get known(): readonly KnownEvent[] {
    return Array.from(this.#entries, ([id, entry]) => ({ id, ...entry }));
  }

  /** The place of the last event. */
  get position(): number {
    return this.#position;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** The place of the event; 0: it is not remembered. */
  positionOf(id: string | undefined): number {
    return (id === undefined ? undefined : this.#entries.get(id)?.position) ?? 0;
  }

  /** The last event up to this place; undefined: none is remembered. */
  idAt(position: number): string | undefined {
    return [...this.#entries].findLast(([, entry]) => entry.position <= position)?.[0];
  }

  /** The event was delivered, and is in no journal. */
  forget(id: string): void {
    this.#entries.delete(id);
  }

  /** An event is delivered. */
  add(id: string, fact: Fact | undefined): void {
    this.#position += 1;
    this.#entries.set(id, { position: this.#position, fact });
    if (this.#entries.size <= REMEMBERED) return;
    for (const oldest of this.#entries.keys()) return void this.#entries.delete(oldest);
  }

  /**
   * The events up to the one with this id, which is the last that the journal has; those after it are lost, and forgotten. Without an id
   * all are.
   */
  cutAfter(id: string | undefined): { readonly kept: readonly TrailEntry[]; readonly lost: readonly TrailEntry[] } {
    const last = id === undefined ? 0 : (this.#entries.get(id)?.position ?? 0);
    const all = [...this.#entries];
    for (const [each, { position }] of all) if (position > last) this.#entries.delete(each);
    const entries = all.map(([, entry]) => entry);
    return {
      kept: entries.filter(({ position }) => position <= last),
      lost: entries.filter(({ position }) => position > last),
    };
  }
}
