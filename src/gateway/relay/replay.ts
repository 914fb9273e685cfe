/** What a server forgets of a session with its process, kept so that it can be told again. */
import { isObject } from '../../copilot/index.ts';
import { isServerId } from './model.ts';

/** A call that is repeated after a restart. */
export interface ReplayedCall {
  readonly method: string;
  readonly params: object;
}

/** The same with what the server answered, as another replica is told. */
export interface KeptCall extends ReplayedCall {
  readonly result: unknown;
}

interface WrittenCall extends ReplayedCall {
  /** The params as JSON. */
  readonly text: string;
}

/** Undefined: the server has given none. */
type Handle = string | number | undefined;

interface Interest {
  readonly params: object;
  /** Of the params as JSON. */
  readonly length: number;
  /** Each registration is released by its own. */
  readonly handles: Set<Handle>;
}

const OPTIONS = 'session.options.update';
const MODE = 'session.permissions.setMode';
const INTEREST = 'session.eventLog.registerInterest';
const INTEREST_ENDS = 'session.eventLog.releaseInterest';
/** Calls that each change a part of what is there. Of every other method the last call counts. */
const INCREMENTAL = new Set([
  'session.permissions.configure',
  'session.permissions.modifyRules',
  'session.permissions.paths.add',
  'session.provider.add',
]);
/** Kept calls of one session, interests, and registrations of each. */
const MOST = 1024;
/** Characters of the kept calls of one session, as JSON. */
const MOST_LENGTH = 4 * 1024 * 1024;

/** What a registration takes in memory. */
const HANDLE_BYTES = 128;

/** Characters of the longest type of an event that is kept. */
const LONGEST_TYPE = 256;

/** Of one session. */
export class ReplayRecord {
  /** In the order in which they were made, which decides what rules come to. */
  #calls: WrittenCall[] = [];
  #overflowed = false;
  /** By the type of the event. */
  readonly #interests = new Map<string, Interest>();

  /** A call that the server answered without an error, and its result. */
  keep(method: string, params: object, result: unknown): void {
    const given: Readonly<Record<string, unknown>> = isObject(params) ? params : {};
    if (method === INTEREST_ENDS) this.#release(given['handle']);
    else if (method === INTEREST) {
      this.#register(String(given['eventType']), params, isObject(result) ? result['handle'] : undefined);
    } else if (INCREMENTAL.has(method)) {
      // The same call again decides alone on what it concerns.
      const text = JSON.stringify(params);
      this.#calls = this.#calls.filter((call) => call.method !== method || call.text !== text);
      this.#add(method, params, text);
    } else {
      const before = this.#calls.find((call) => call.method === method)?.params;
      this.#calls = this.#calls.filter((call) => call.method !== method);
      // Options are patches, each of some fields.
      this.#add(method, method === OPTIONS ? { ...before, ...params } : params);
    }
  }

  /** Characters of what is kept. */
  get length(): number {
    return this.#callsLength + this.#interestsLength;
  }

  /** As JSON. */
  get #callsLength(): number {
    return this.#calls.reduce((sum, { text }) => sum + text.length, 0);
  }

  get #interestsLength(): number {
    return [...this.#interests.values()].reduce(
      (sum, { length, handles }) => sum + length + handles.size * HANDLE_BYTES,
      0,
    );
  }

  /** Whether calls could not be kept: what would be told again might allow more than the clients decided. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Whether anything of it may deny what the session would allow without it. The permission mode is on the disk of the server. */
  get restricts(): boolean {
    return this.#calls.some(({ method }) => method !== MODE && restricts(method));
  }

  /** What a server is told after it has the session again, in order. */
  get calls(): readonly ReplayedCall[] {
    const interests = [...this.#interests.values()].map(({ params }) => ({ method: INTEREST, params }));
    return [...interests, ...this.#calls.map(({ method, params }) => ({ method, params }))];
  }

  /** The same, each with what is to be known of its result. */
  get kept(): readonly KeptCall[] {
    const interests = [...this.#interests.values()].flatMap(({ params, handles }) =>
      Array.from(handles, (handle) => ({ method: INTEREST, params, result: { handle } })),
    );
    return [...interests, ...this.#calls.map(({ method, params }) => ({ method, params, result: {} }))];
  }

  /** More was changed at another home than is kept. */
  overflow(): void {
    this.#overflowed = true;
  }

  /** An interest allows nothing, so what is beyond the bounds is not repeated. */
  #register(type: string, params: object, given: unknown): void {
    const handle = handleOf(given);
    const known = this.#interests.get(type);
    const interest = known ?? { params, length: JSON.stringify(params).length, handles: new Set() };
    const added = HANDLE_BYTES + (known === undefined ? interest.length : 0);
    if (this.#interestsLength + added > MOST_LENGTH || interest.handles.size >= MOST) return;
    if (known === undefined && (this.#interests.size >= MOST || type.length > LONGEST_TYPE)) return;
    this.#interests.set(type, interest);
    interest.handles.add(handle);
  }

  #release(given: unknown): void {
    const handle = handleOf(given);
    for (const [type, { handles }] of this.#interests) {
      if (handles.delete(handle) && handles.size === 0) this.#interests.delete(type);
    }
  }

  #add(method: string, params: object, text: string = JSON.stringify(params)): void {
    const length = this.#callsLength + text.length;
    if (this.#calls.length >= MOST || length > MOST_LENGTH) this.#overflowed = true;
    else this.#calls.push({ method, params, text });
  }
}

/** Whether a session without this call might allow more than its clients decided. */
export function restricts(method: string): boolean {
  return method.startsWith('session.permissions.') || method === OPTIONS;
}

function handleOf(given: unknown): Handle {
  return typeof given === 'number' || isServerId(given) ? given : undefined;
}
