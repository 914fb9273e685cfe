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

const OPTIONS = 'session.options.update';
const INTEREST = 'session.eventLog.registerInterest';
const INTEREST_ENDS = 'session.eventLog.releaseInterest';
/** Kept interests and calls of one session, and unfinished prompts; what goes beyond is not repeated. */
const MOST = 256;

/** Of one session. */
export class ReplayRecord {
  /** Options are patches, each of some fields. */
  #options: Readonly<Record<string, unknown>> = {};
  readonly #interests = new Map<string, object>();
  /** Calls of which the last one counts, by method. */
  readonly #calls = new Map<string, object>();
  readonly #sends = new Map<string, UnfinishedSend>();

  /** A call that the server answered without an error. */
  keep(method: string, params: object): void {
    const event = isObject(params) ? String(params['eventType']) : '';
    if (method === OPTIONS) this.#options = { ...this.#options, ...params };
    else if (method === INTEREST_ENDS) this.#interests.delete(event);
    else if (method === INTEREST) setWithin(this.#interests, event, params);
    else setWithin(this.#calls, method, params);
  }

  /** The server has acknowledged a prompt. */
  acknowledged(send: UnfinishedSend): void {
    setWithin(this.#sends, send.messageId, send);
  }

  /** The server has worked on every prompt. */
  finished(): void {
    this.#sends.clear();
  }

  /** Prompts without a finished turn, in order. */
  get unfinished(): readonly UnfinishedSend[] {
    return [...this.#sends.values()];
  }

  /** What a server is told after it has the session again, in order. */
  get calls(): readonly ReplayedCall[] {
    const options = Object.keys(this.#options).length > 0 ? [{ method: OPTIONS, params: this.#options }] : [];
    const interests = [...this.#interests.values()].map((params) => ({ method: INTEREST, params }));
    const others = [...this.#calls].map(([method, params]) => ({ method, params }));
    return [...interests, ...options, ...others];
  }
}

function setWithin<V>(map: Map<string, V>, key: string, value: V): void {
  if (map.has(key) || map.size < MOST) map.set(key, value);
}
