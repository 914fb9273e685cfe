/** What a server forgets of a session with its process, kept so that it can be told again. */
import { isObject } from '../../../copilot/index.ts';
import { isServerId } from '../model.ts';

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
const APPROVE_ALL = 'session.permissions.setApproveAll';
const RULES = 'session.permissions.modifyRules';
const RESET = 'session.permissions.resetSessionApprovals';
const INTEREST = 'session.eventLog.registerInterest';
const INTEREST_ENDS = 'session.eventLog.releaseInterest';
/** Calls that each change a part of what is there. Of every other method the last call counts. */
const INCREMENTAL = new Set([
  'session.permissions.configure',
  RULES,
  'session.permissions.paths.add',
  'session.provider.add',
]);
/** Nor does a patch of options move a session that was once moved by this. */
const MOVE = 'session.metadata.setWorkingDirectory';
/** Calls whose effect a server has on its disk, each with the options that it takes the place of: told again, these would undo it. */
const IN_PLACE_OF_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  [MOVE]: ['workingDirectory'],
  'session.model.setReasoningEffort': ['reasoningEffort'],
  'session.model.switchTo': ['model', 'reasoningEffort'],
};
/** Calls by which everything may have been approved. */
const APPROVES = new Set([APPROVE_ALL, 'session.permissions.configure']);
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
  /** The call that moved the session, which is kept for the next home and told to no server. */
  #move: KeptCall | undefined;
  /** By the type of the event. */
  readonly #interests = new Map<string, Interest>();

  /** A call that the server answered without an error, and its result. */
  keep(method: string, params: object, result: unknown): void {
    const given: Readonly<Record<string, unknown>> = isObject(params) ? params : {};
    const inPlaceOf = IN_PLACE_OF_OPTIONS[method];
    if (method === INTEREST_ENDS) this.#release(given['handle']);
    else if (method === INTEREST) {
      this.#register(String(given['eventType']), params, isObject(result) ? result['handle'] : undefined);
    } else if (inPlaceOf !== undefined) {
      if (method === MOVE) this.#move = { method, params, result: {} };
      this.#dropOptions(inPlaceOf);
    } else if (method === MODE) this.#endApproval(given['sessionId']);
    else if (method === RESET) this.#reset(params, given['includeLocation'] !== false);
    else if (INCREMENTAL.has(method)) {
      // The same call again decides alone on what it concerns.
      const text = JSON.stringify(params);
      this.#calls = this.#calls.filter((call) => call.method !== method || call.text !== text);
      this.#add(method, params, text);
    } else {
      const before = this.#calls.find((call) => call.method === method)?.params;
      this.#calls = this.#calls.filter((call) => call.method !== method);
      // Options are patches, each of some fields.
      this.#add(method, method === OPTIONS ? { ...before, ...params } : params);
      if (this.#move !== undefined) this.#dropOptions(['workingDirectory']);
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

  /** Whether a client has said that events of this type are answered. */
  hasInterest(type: string): boolean {
    return this.#interests.has(type);
  }

  /** Whether anything of it may deny what the session would allow without it. */
  get restricts(): boolean {
    return this.#calls.some(({ method }) => restricts(method));
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
    const calls = this.#calls.map(({ method, params }) => ({ method, params, result: {} }));
    return [...interests, ...calls, ...(this.#move === undefined ? [] : [this.#move])];
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

  /** The last word on these options is on the disk of the server. */
  #dropOptions(names: readonly string[]): void {
    this.#calls = this.#calls.map((call) => {
      if (call.method !== OPTIONS) return call;
      const params = Object.fromEntries(Object.entries(call.params).filter(([name]) => !names.includes(name)));
      return { method: OPTIONS, params, text: JSON.stringify(params) };
    });
  }

  /** A mode takes the place of what approved everything, which must not come back. The mode itself is on the disk of the server. */
  #endApproval(sessionId: unknown): void {
    if (this.#calls.some(({ method }) => APPROVES.has(method)))
      this.keep(APPROVE_ALL, { sessionId, enabled: false }, {});
  }

  /** What was approved for a location is gone from the disk of the server. Others may have approved it again since, and that must stay. */
  #reset(params: object, withLocation: boolean): void {
    if (withLocation)
      this.#calls = this.#calls.filter(({ method, params: of }) => method !== RULES || !isOfLocation(of));
    this.#calls = this.#calls.filter(({ method }) => method !== RESET);
    this.#add(RESET, { ...params, includeLocation: false });
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

/** Whether rules are kept for a directory, and not for the session. */
function isOfLocation(params: object): boolean {
  return 'scope' in params && params.scope === 'location';
}

function handleOf(given: unknown): Handle {
  return typeof given === 'number' || isServerId(given) ? given : undefined;
}
