/** What a server forgets of a session with its process, kept so that it can be told again. */
import { isObject } from '../../copilot/index.ts';

/** A prompt that the server has acknowledged and not finished. */
export interface UnfinishedSend {
  readonly messageId: string;
  readonly method: string;
  readonly params: object;
}

/** A call that is repeated after a restart. */
export interface ReplayedCall {
  readonly method: string;
  readonly params: object;
}

interface KeptCall extends ReplayedCall {
  /** The params as JSON. */
  readonly text: string;
}

interface Interest {
  readonly params: object;
  /** Each registration is released by its own. */
  readonly handles: Set<unknown>;
}

const OPTIONS = 'session.options.update';
const INTEREST = 'session.eventLog.registerInterest';
const INTEREST_ENDS = 'session.eventLog.releaseInterest';
/** Calls that each change a part of what is there. Of every other method the last call counts. */
const INCREMENTAL = new Set([
  'session.permissions.configure',
  'session.permissions.modifyRules',
  'session.permissions.paths.add',
  'session.provider.add',
]);
/** Kept calls of one session, interests, registrations of each, and unfinished prompts. */
const MOST = 1024;
/** Characters of the kept calls of one session, and of its unfinished prompts, as JSON. */
const MOST_LENGTH = 4 * 1024 * 1024;

/** Characters of the longest type of an event that is kept. */
const LONGEST_TYPE = 256;

/** Of one session. */
export class ReplayRecord {
  /** In the order in which they were made, which decides what rules come to. */
  #calls: KeptCall[] = [];
  #overflowed = false;
  /** By the type of the event. */
  readonly #interests = new Map<string, Interest>();
  readonly #sends = new Map<string, UnfinishedSend & { readonly length: number }>();

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

  /** Whether calls could not be kept: what would be told again might allow more than the clients decided. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** The server has acknowledged a prompt. What goes beyond the bounds is not kept. */
  acknowledged(send: UnfinishedSend): void {
    const { length } = JSON.stringify(send.params);
    const total = [...this.#sends.values()].reduce((sum, each) => sum + each.length, length);
    if (this.#sends.size < MOST && total <= MOST_LENGTH) this.#sends.set(send.messageId, { ...send, length });
  }

  /** The server has worked on every prompt. */
  finished(): void {
    this.#sends.clear();
  }

  /** Prompts without a finished turn, in order. */
  get unfinished(): readonly UnfinishedSend[] {
    return [...this.#sends.values()].map(({ messageId, method, params }) => ({ messageId, method, params }));
  }

  /** What a server is told after it has the session again, in order. */
  get calls(): readonly ReplayedCall[] {
    const interests = [...this.#interests.values()].map(({ params }) => ({ method: INTEREST, params }));
    return [...interests, ...this.#calls.map(({ method, params }) => ({ method, params }))];
  }

  /** An interest allows nothing, so what is beyond the bounds is not repeated. */
  #register(type: string, params: object, handle: unknown): void {
    const interest = this.#interests.get(type) ?? { params, handles: new Set() };
    if (!this.#interests.has(type) && (this.#interests.size >= MOST || type.length > LONGEST_TYPE)) return;
    this.#interests.set(type, interest);
    if (interest.handles.size < MOST) interest.handles.add(handle);
  }

  #release(handle: unknown): void {
    for (const [type, { handles }] of this.#interests) {
      if (handles.delete(handle) && handles.size === 0) this.#interests.delete(type);
    }
  }

  #add(method: string, params: object, text: string = JSON.stringify(params)): void {
    const length = this.#calls.reduce((sum, call) => sum + call.text.length, text.length);
    if (this.#calls.length >= MOST || length > MOST_LENGTH) this.#overflowed = true;
    else this.#calls.push({ method, params, text });
  }
}

/** Whether a session without this call might allow more than its clients decided. */
export function restricts(method: string): boolean {
  return method.startsWith('session.permissions.') || method === OPTIONS;
}
