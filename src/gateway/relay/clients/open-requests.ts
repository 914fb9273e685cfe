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

/** By their ids. */
export class OpenRequests {
  readonly #open = new Map<RequestId, ClientRequest>();
  #frameBytes = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Of their frames. */
  get frameBytes(): number {
    return this.#frameBytes;
  }

  /** What they take in memory, at least. */
  get bytes(): number {
    return this.#frameBytes + this.#open.size * CALL_BYTES;
  }

  get all(): readonly ClientRequest[] {
    return [...this.#open.values()];
  }

  has(id: RequestId): boolean {
    return this.#open.has(id);
  }

  add(request: ClientRequest): void {
    this.#open.set(request.id, request);
    this.#frameBytes += request.bytes;
  }

  /** It is answered, or will never be. */
  settle(id: RequestId): void {
    this.#frameBytes -= this.#open.get(id)?.bytes ?? 0;
    this.#open.delete(id);
  }
}
