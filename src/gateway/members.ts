/**
 * Those that come and go by the thousand, in the order in which they came.
 *
 * Not a `Set`, nor the keys of a `Map`: whenever the table of one is full of what was removed there is a new one, which the old one points to. Once a
 * table is in V8's old generation it keeps the next one alive until a full collection, and that one the next, each with all that was in it. So whoever
 * passes through is moved to the old generation, too, and full collections follow each other.
 */

/** A place among them. */
export class Member<T> {
  readonly value: T;
  /** Its neighbours, and whether it has left: for `Members` alone. */
  before: Member<T> | undefined;
  after: Member<T> | undefined;
  hasLeft = false;

  constructor(value: T, before: Member<T> | undefined) {
    this.value = value;
    this.before = before;
  }
}

/** Whoever looks at all of them may have any of them leave. Those that come meanwhile are not among them. */
export class Members<T> implements Iterable<T> {
  #first: Member<T> | undefined;
  #last: Member<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Who has been there longest. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Returns its place, to be given back by `remove`. */
  add(value: T): Member<T> {
    const member = new Member(value, this.#last);
    if (this.#last === undefined) this.#first = member;
    else this.#last.after = member;
    this.#last = member;
    this.#size += 1;
    return member;
  }

  /** Whether it was still there. */
  remove(member: Member<T>): boolean {
    if (member.hasLeft) return false;
    member.hasLeft = true;
    const { before, after } = member;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    // Or one that has left would keep its neighbours alive.
    member.before = undefined;
    member.after = undefined;
    this.#size -= 1;
    return true;
  }

  *[Symbol.iterator](): Iterator<T> {
    const members: Member<T>[] = [];
    for (let each = this.#first; each !== undefined; each = each.after) members.push(each);
    for (const { hasLeft, value } of members) if (!hasLeft) yield value;
  }
}
