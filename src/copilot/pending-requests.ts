/** The requests of one end of a connection that wait for their answers. */
import type { CopilotError } from './errors.ts';
import type { RequestId } from './message.ts';

/** One of them. */
export interface PendingRequest {
  readonly id: RequestId;
  readonly method: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: CopilotError) => void;
  deadline: { cancel(): void } | undefined;
}

/**
 * Requests that wait for their answers. An idle connection has one at a time, which is in no Map: that would allocate its table anew every
 * few requests, for thousands of connections. Whoever takes a request out cancels its deadline with it.
 */
export class PendingRequests {
  #single: PendingRequest | undefined;
  #others: Map<RequestId, PendingRequest> | undefined;
  /** Ids of those that ran into their deadline: a late answer to them is legal, one to any other id is not. Undefined: none did. */
  #abandoned: Set<RequestId> | undefined;

  /** How many were abandoned, and not answered since. */
  get abandoned(): number {
    return this.#abandoned?.size ?? 0;
  }

  add(request: PendingRequest): void {
    if (this.#single === undefined) this.#single = request;
    else (this.#others ??= new Map()).set(request.id, request);
  }

  /** Undefined: none has this id. */
  take(id: RequestId): PendingRequest | undefined {
    let found = this.#single;
    if (found?.id === id) this.#single = undefined;
    else if ((found = this.#others?.get(id)) !== undefined) this.#others?.delete(id);
    found?.deadline?.cancel();
    return found;
  }

  /** The same with one that nobody waits for any longer, and that may still be answered. */
  abandon(id: RequestId): PendingRequest | undefined {
    const request = this.take(id);
    if (request !== undefined) (this.#abandoned ??= new Set()).add(id);
    return request;
  }

  /** Whether the id is that of one that was abandoned. It is answered now. */
  takeAbandoned(id: RequestId): boolean {
    return this.#abandoned?.delete(id) === true;
  }

  takeAll(): PendingRequest[] {
    const all = [...(this.#single === undefined ? [] : [this.#single]), ...(this.#others?.values() ?? [])];
    this.#single = undefined;
    this.#others = undefined;
    this.#abandoned = undefined;
    for (const { deadline } of all) deadline?.cancel();
    return all;
  }
}
