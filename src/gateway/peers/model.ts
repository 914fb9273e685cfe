/** Which replica of the gateway is the home of a tenant: what this folder offers to the rest of the gateway. */
import type { Duplex } from 'node:stream';
import type { TenantRef } from '../model.ts';

/** Another replica of the gateway, as one process of it: after a restart it is another peer. */
export interface Peer {
  /** Name of the pod and epoch of the process: unique for each start of a process. */
  readonly id: string;
  /**
   * A new stream to the peer, encrypted, both ends of which have proved that they are replicas of this gateway. Its owner ends it.
   * Rejects with {@link PeerUnreachableError}.
   */
  connect(purpose: 'forward'): Promise<Duplex>;
}

/** There is no connection to a peer: it is gone, or the network between the two is. What was to be sent there was not. */
export class PeerUnreachableError extends Error {
  override readonly name = 'PeerUnreachableError';
}

/** It is not decided which replica is the home of the tenant. It may be in a few seconds: try again. The message is for clients. */
export class HomeUnavailableError extends Error {
  override readonly name = 'HomeUnavailableError';
}

/** How a client came to this replica. */
export interface RouteOptions {
  /** A peer has sent the client here. It is never sent on: this replica becomes the home, unless another one is. */
  readonly isForwarded: boolean;
}

/** `Here`, or the peer that the client is to be forwarded to. */
export type Route = 'Here' | Peer;

/**
 * Which replica is the home of a tenant: the one that holds the connections to all its servers. Of two replicas, never both are the home
 * of a tenant and may act for it.
 */
export interface Homes {
  /**
   * The home of the tenant. If it has none, this replica becomes it when it is its turn, or when the client was forwarded. For a forwarded
   * client the answer is a peer only if that one is the home already.
   * Rejects with {@link HomeUnavailableError} if it cannot be decided within a deadline.
   */
  route(tenant: TenantRef, options: RouteOptions): Promise<Route>;
  /** The peer has said that it is not the home, or not any more: the next `route` asks again. */
  misrouted(tenant: TenantRef, peer: Peer): void;
  /**
   * Whether this replica may act for the tenants that it holds, right now, by its monotonic clock. To be read before each frame to a
   * server that starts or changes something: it is right also after the process was paused, when no listener was called yet.
   */
  readonly mayAct: boolean;
  /** This replica is the home of the tenant no more. To be called after the connections to its servers were closed. */
  release(tenant: TenantRef): void;
  /**
   * Calls `listener` when this replica may be taken for dead: it holds no tenant any more when the listener is called, which must close all
   * connections to servers before it returns. Returns the function that ends it.
   */
  onFenced(listener: () => void): () => void;
  /**
   * Calls `listener` when a peer is dead, has stopped, or was not heard for too long: nothing that was forwarded to it is answered, and the
   * clients that it forwarded are gone, or come anew. Returns the function that ends it.
   */
  onPeerGone(listener: (peer: Peer) => void): () => void;
  /** This replica is to stop: it is not chosen for tenants without a home any more. */
  drain(): void;
}

/** Takes the streams that peers open for `forward`; `from` is the id of the peer. */
export type ForwardAcceptor = (stream: Duplex, from: string) => void;
