/** One answer from those of several servers of a tenant, as one server with all of their sessions would give it. */
import { isObject } from '../../../copilot/index.ts';
import type { MethodMerge } from '../../model.ts';
import { sessionIdOf } from '../model.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The result of all. `results` are in the order of the servers. That of one is as it is. */
export function merged(merge: Exclude<MethodMerge, 'Last' | 'Ids'>, results: readonly unknown[]): unknown {
  const [first] = results;
  if (results.length === 1) return first;
  if (merge === 'Union') return union(results.filter(isObject));
  if (merge === 'Freed') return { freedBytes: freed(results) };
  if (merge === 'Entries') {
    return oncePerId(results.flatMap((result) => (Array.isArray(result) ? (result as unknown[]) : [])));
  }
  return { ...(isObject(first) ? first : {}), sessions: newestFirst(oncePerId(listsOf(results, 'sessions'))) };
}

/** When a session of a list was used last, for comparison. */
export function modifiedTimeOf(session: unknown): string {
  const time = isObject(session) ? session['modifiedTime'] : undefined;
  return typeof time === 'string' ? time : '';
}

function listsOf(results: readonly unknown[], field: string): unknown[] {
  return results.flatMap((result) => {
    const list = isObject(result) ? result[field] : undefined;
    return Array.isArray(list) ? (list as unknown[]) : [];
  });
}

function newestFirst(sessions: readonly unknown[]): unknown[] {
  return sessions.toSorted((a, b) => modifiedTimeOf(b).localeCompare(modifiedTimeOf(a)));
}

/** A server that does not have a session says less of it, or that it was not found. */
function oncePerId(entries: readonly unknown[]): unknown[] {
  const best = new Map<unknown, unknown>();
  for (const entry of entries) {
    const id = isObject(entry) ? (sessionIdOf(entry) ?? entry) : entry;
    if (!best.has(id) || amountIn(entry) > amountIn(best.get(id))) best.set(id, entry);
  }
  return [...best.values()];
}

function amountIn(entry: unknown): number {
  if (!isObject(entry) || entry['status'] === 'notFound') return 0;
  return Object.keys(entry).length;
}

/** A server names every id but for those that it failed to delete: with 0, if it has no such session. */
function freed(results: readonly unknown[]): Fields {
  const [first = {}, ...others] = results.map((result) =>
    isObject(result) && isObject(result['freedBytes']) ? result['freedBytes'] : {},
  );
  const gone = Object.keys(first).filter((id) => others.every((other) => Object.hasOwn(other, id)));
  const bytesOf = (id: string) => [first, ...others].map((each) => (typeof each[id] === 'number' ? each[id] : 0));
  return Object.fromEntries(gone.map((id) => [id, Math.max(...bytesOf(id))]));
}

/** Lists and maps in a field have what they have in any; of anything else that of the first counts. */
function union(results: readonly Fields[]): Fields {
  const all: Record<string, unknown> = {};
  for (const [name, value] of results.flatMap((result) => Object.entries(result))) {
    const before = all[name];
    if (before === undefined) all[name] = value;
    else if (Array.isArray(before) && Array.isArray(value)) all[name] = [...new Set([...before, ...value])];
    else if (isObject(before) && isObject(value)) all[name] = { ...value, ...before };
  }
  return all;
}
