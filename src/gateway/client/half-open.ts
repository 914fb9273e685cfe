/** The connections that are not admitted yet: how many there may be at once, and which one has to go for a further one. */
import { isIPv6 } from 'node:net';
import { Members, type Member } from '../members.ts';

/** A connection that is not admitted. */
export interface HalfOpenEntry {
  /** Whose it is: `addressKey` of where it comes from. */
  readonly from: string;
  /** Closes it. `remove` follows, if not at once. */
  readonly evict: () => void;
  /** While it counts; for `HalfOpen` alone. */
  place?: HalfOpenPlace | undefined;
}

/** Where an entry is. */
interface HalfOpenPlace {
  readonly member: Member<HalfOpenEntry>;
  readonly same: Members<HalfOpenEntry>;
  readonly memberOfSame: Member<HalfOpenEntry>;
  /** That it has sent. */
  bytes: number;
}

/** A place among them, whose connection changes hands: from the socket to the client that is made of it. */
export class HalfOpenSlot implements HalfOpenEntry {
  readonly from: string;
  place: HalfOpenPlace | undefined;
  #close: () => void;

  constructor(address: string, close: () => void) {
    this.from = addressKey(address);
    this.#close = close;
  }

  readonly evict = (): void => this.#close();

  /** Who closes the connection from now on. */
  handOver(close: () => void): void {
    this.#close = close;
  }
}

/** The bounds of all of them together. */
export interface HalfOpenLimits {
  readonly total: number;
  /** Of one address. */
  readonly perAddress: number;
  /** Bytes that they have sent. */
  readonly bytes: number;
}

/**
 * Enough for five thousand clients that come back within a second from behind one address, after a restart of this gateway. What they hold
 * is small: 32 MiB are 4 KiB for each.
 */
export const HALF_OPEN_LIMITS: HalfOpenLimits = { total: 8_192, perAddress: 6_144, bytes: 32 * 1024 * 1024 };

/** A further connection is never refused: the oldest goes, because who has a token presents it at once. */
export class HalfOpen {
  readonly #limits: HalfOpenLimits;
  /** The oldest first. */
  readonly #entries = new Members<HalfOpenEntry>();
  readonly #byAddress = new Map<string, Members<HalfOpenEntry>>();
  #bytes = 0;

  constructor(limits: HalfOpenLimits = HALF_OPEN_LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  add(entry: HalfOpenEntry): void {
    const same = this.#byAddress.get(entry.from) ?? new Members();
    if (same.size >= this.#limits.perAddress) this.#evictFirst(same);
    if (this.#entries.size >= this.#limits.total) this.#evictFirst(this.#entries);
    entry.place = { member: this.#entries.add(entry), same, memberOfSame: same.add(entry), bytes: 0 };
    // The eviction may have removed the others of the address with the last of them.
    this.#byAddress.set(entry.from, same);
  }

  /** The connection has sent bytes. Those of one that is no longer here do not count. */
  received({ place }: HalfOpenEntry, bytes: number): void {
    if (place === undefined) return;
    place.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#limits.bytes) this.#evictFirst(this.#entries);
  }

  /** It is admitted, or gone. */
  remove(entry: HalfOpenEntry): void {
    const { place } = entry;
    if (place === undefined) return;
    entry.place = undefined;
    const { member, same, memberOfSame, bytes } = place;
    this.#bytes -= bytes;
    this.#entries.remove(member);
    same.remove(memberOfSame);
    if (same.size === 0) this.#byAddress.delete(entry.from);
  }

  #evictFirst({ first: oldest }: Members<HalfOpenEntry>): void {
    if (oldest === undefined) return;
    this.remove(oldest);
    oldest.evict();
  }
}

/** An IPv4 address in its own notation, which a socket for both families writes as one of IPv6. */
export function unmapped(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

/** What counts as one address: a whole /64 of IPv6, which anybody has. */
export function addressKey(address: string): string {
  const own = unmapped(address);
  if (!isIPv6(own)) return own;
  const [head = '', tail] = own.split('%', 1).join('').split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  const all = tail === undefined ? before : [...before, ...zeros, ...after];
  return `${all
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
