/** The requests of one client that are not answered. */
import type { RequestId } from '../../../copilot/index.ts';
import type { OpenRequest } from './client-moves.ts';
import type { SessionClient } from '../model.ts';

/** The client that makes them. */
export interface RequestingClient extends SessionClient {
  readonly gone: AbortSignal;
}

/** One of them. */
export interface ClientRequest extends OpenRequest {
  /** Of its frame. */
  readonly bytes: number;
  /** Aborts when the client goes. */
  readonly gone: AbortSignal;
}

/** What a request takes in memory beside its frame, at least. */
export const CALL_BYTES = 512;

/**
 * By their ids, in the order in which they came. Most clients have one at a time, which is in no Map: that would allocate its table anew every few
 * requests, and each table that was replaced, and what is in it, stays until V8's next full collection.
 */
export class OpenRequests {
  /** The one that came first, when none was open. */
  #single: ClientRequest | undefined;
  #others: Map<RequestId, ClientRequest> | undefined;
  #frameBytes = 0;

  get size(): number {
    return (this.#single === undefined ? 0 : 1) + (this.#others?.size ?? 0);
  }

  /** Of their frames. */
  get frameBytes(): number {
    return this.#frameBytes;
  }

  /** What they take in memory, at least. */
  get bytes(): number {
    return this.#frameBytes + this.size * CALL_BYTES;
  }

  get all(): readonly ClientRequest[] {
    return [...(this.#single === undefined ? [] : [this.#single]), ...(this.#others?.values() ?? [])];
  }

  has(id: RequestId): boolean {
    return this.#single?.id === id || this.#others?.has(id) === true;
  }

  add(request: ClientRequest): void {
    if (this.size === 0) this.#single = request;
    else (this.#others ??= new Map()).set(request.id, request);
    this.#frameBytes += request.bytes;
  }

  /** It is answered, or will never be. */
  settle(id: RequestId): void {
    const single = this.#single?.id === id ? this.#single : undefined;
    const settled = single ?? this.#others?.get(id);
    if (settled === undefined) return;
    this.#frameBytes -= settled.bytes;
    if (single === undefined) this.#others?.delete(id);
    else this.#single = undefined;
  }
}
