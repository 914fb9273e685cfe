/** Calls of clients that wait for one thing, in their order: bounded by number and bytes, and forgotten when their client goes. */
import type { RelayLimits } from './model.ts';

/** One of them. */
export interface HeldCall {
  /** Of its frame. */
  readonly bytes: number;
  /** Aborts when its client goes; undefined: it is the gateway's own. */
  readonly gone: AbortSignal | undefined;
  /** Its client is gone, and it is not made. Whoever made it frees what it keeps of it. */
  readonly forget: () => void;
}

/** Bounded by the limits of the calls that wait for a server. */
export class HeldCalls<C extends HeldCall = HeldCall> {
  readonly #limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes'>;
  /** With the function that ends listening. */
  readonly #calls = new Map<C, () => void>();
  #bytes = 0;

  constructor(limits: Pick<RelayLimits, 'dialQueue' | 'dialQueueBytes'>) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Holds a call. Returns false if as many, or as many bytes of them, as are allowed are held; one alone may have any size. */
  hold(call: C): boolean {
    const { dialQueue, dialQueueBytes } = this.#limits;
    if (this.size >= dialQueue || (this.size > 0 && this.#bytes + call.bytes > dialQueueBytes)) return false;
    const { gone, forget } = call;
    const onGone = (): void => {
      if (this.take(call)) forget();
    };
    gone?.addEventListener('abort', onGone);
    this.#calls.set(call, () => gone?.removeEventListener('abort', onGone));
    this.#bytes += call.bytes;
    if (gone?.aborted === true) onGone();
    return true;
  }

  /** Takes a call out. Returns false if it was forgotten. */
  take(call: C): boolean {
    const endListening = this.#calls.get(call);
    if (endListening === undefined) return false;
    endListening();
    this.#calls.delete(call);
    this.#bytes -= call.bytes;
    return true;
  }

  /** Takes all of them out, as they are now, in their order. */
  takeAll(): C[] {
    const all = [...this.#calls.keys()];
    for (const call of all) this.take(call);
    return all;
  }
}
