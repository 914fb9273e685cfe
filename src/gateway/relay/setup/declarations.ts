/**
 * What the clients of a session declare together. The server keeps tools, handlers and flags for each connection, and the
 * gateway has one for all clients: so it declares the union, again at each attach and detach (docs/adr/0028-relay.md).
 */
import { isObject } from '../../../copilot/index.ts';
import type { Declaration } from '../model.ts';

/** Lists of which the union is declared, each with the field that names an entry. */
const LISTS = { tools: 'name', commands: 'name', canvases: 'id' } as const;
/** Flags that hold for the session if one client sets them. */
const FLAG = /^(request[A-Z]\w*|hooks|observePromptEvents|streaming|includeSubAgentStreamingEvents)$/;
/** What a resume says of itself, and not of the session. */
const OF_THE_REQUEST = ['sessionId', 'disableResume', 'continuePendingWork'];
/** What the server restores from disk unless the resume states it: the client may have changed it since. */
const RESTORED = ['model', 'reasoningEffort', 'workingDirectory'];
const PROVIDERS = ['provider', 'providers', 'models'];

/** What a client has declared that attaches once more: for the server, what it does not state is as it was. */
export function restated(before: Declaration, stated: Declaration): Declaration {
  return merged([before, stated]);
}

/** The params with which a client attaches that states this, beside `others`. `own`: what it has declared then, if it was attached before. */
export function attachParams(stated: Declaration, others: readonly Declaration[], own = stated): Declaration {
  return { ...stated, ...union([...others, own]), ...malformed(stated) };
}

/** The params of the resume that takes back what `left` declared and `remaining` did not. */
export function detachParams(left: Declaration, remaining: readonly Declaration[]): Declaration {
  const flags = flagsOf(remaining);
  const takenBack = Object.keys(flagsOf([left])).filter((key) => flags[key] === undefined);
  const hadProvider = PROVIDERS.some((key) => left[key] !== undefined);
  return {
    ...Object.fromEntries(takenBack.map((key) => [key, false])),
    ...union(remaining),
    ...(hadProvider ? lastOf(PROVIDERS, remaining) : {}),
  };
}

/** The params with which a session is made again as it was: later clients win over earlier ones. */
export function createParams(all: readonly Declaration[]): Declaration {
  return without(OF_THE_REQUEST, { ...merged(all), ...union(all) });
}

/** The same for a session that the server finds on its disk. */
export function restoreParams(all: readonly Declaration[]): Declaration {
  return without(RESTORED, createParams(all));
}

/** Of what every session has, the values that the clients declared: they may have less than the default. */
export function forcedParams(all: readonly Declaration[], declared: Declaration, defaults: Declaration): Declaration {
  const stated = Object.entries(merged(all)).filter(([key]) => Object.hasOwn(defaults, key));
  return { ...defaults, ...Object.fromEntries(stated), ...declared };
}

/** Of each declaration, once it was asked for. */
const lengths = new WeakMap<Declaration, number>();

/** Characters of what is declared, as JSON. */
export function lengthOf(declaration: Declaration): number {
  const known = lengths.get(declaration);
  if (known !== undefined) return known;
  const { length } = JSON.stringify(declaration);
  lengths.set(declaration, length);
  return length;
}

/** Whether a client declared the tool or command `name`. */
export function declares(declaration: Declaration, list: 'tools' | 'commands', name: string): boolean {
  return entries(declaration[list]).some((entry) => isObject(entry) && entry[LISTS[list]] === name);
}

/** Lists and flags of all. The tools are always there, because an absent list means unchanged. Of the other lists an empty one does, too. */
function union(all: readonly Declaration[]): Declaration {
  const lists = Object.entries(LISTS)
    .filter(([key]) => key === 'tools' || all.some((each) => each[key] !== undefined))
    .map(
      ([key, name]) =>
        [
          key,
          unionOf(
            all.map((each) => each[key]),
            name,
          ),
        ] as const,
    );
  return { ...Object.fromEntries(lists), ...flagsOf(all) };
}

function flagsOf(all: readonly Declaration[]): Readonly<Record<string, boolean>> {
  const flags = new Map<string, boolean>();
  for (const each of all) {
    for (const [key, value] of Object.entries(each)) {
      if (FLAG.test(key) && typeof value === 'boolean') flags.set(key, value || flags.get(key) === true);
    }
  }
  return Object.fromEntries(flags);
}

/** Entries of all lists, one of each name: the last. An entry without a name is left for the server to refuse. */
function unionOf(lists: readonly unknown[], name: string): unknown[] {
  const found = new Map<unknown, unknown>();
  for (const entry of lists.flatMap(entries)) {
    const key = isObject(entry) ? (entry[name] ?? entry) : entry;
    found.delete(key);
    found.set(key, entry);
  }
  return [...found.values()];
}

/** Fields of `own` that are no lists although they should be: the server refuses them by its own rules. */
function malformed(own: Declaration): Declaration {
  const wrong = Object.keys(LISTS).filter(
    (key) => own[key] !== undefined && own[key] !== null && !Array.isArray(own[key]),
  );
  return Object.fromEntries(wrong.map((key) => [key, own[key]]));
}

function merged(all: readonly Declaration[]): Declaration {
  const stated = all.flatMap((each) =>
    Object.entries(each).filter(([, value]) => value !== undefined && value !== null),
  );
  return Object.fromEntries(stated);
}

/** Of the keys, what the last client has that states any of them. */
function lastOf(keys: readonly string[], all: readonly Declaration[]): Declaration {
  const last = all.findLast((each) => keys.some((key) => each[key] !== undefined)) ?? {};
  return Object.fromEntries(keys.filter((key) => last[key] !== undefined).map((key) => [key, last[key]]));
}

function without(keys: readonly string[], declaration: Declaration): Declaration {
  return Object.fromEntries(Object.entries(declaration).filter(([key]) => !keys.includes(key)));
}

function entries(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
