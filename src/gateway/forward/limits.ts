/** The bounds and times of clients that are forwarded between replicas. */

export interface ForwardLimits {
  /** Largest frame between two replicas, in bytes; default 65 MiB: the largest of a server, and what is written around it. */
  readonly frameBytes: number;
  /** Bytes of a client that its home has yet to read, above which the client is not read; default 256 KiB. */
  readonly unreadBytes: number;
  /** Bytes that a client has read, after which its home is told; default 64 KiB. */
  readonly readStepBytes: number;
  /** Ms in which a peer says whether it takes a client; default 25,000: a little longer than it may take to find out. */
  readonly acceptMs: number;
  /** Bytes of frames that wait for a home, above which the client is not read; default 256 KiB. */
  readonly heldBytes: number;
  /** Bytes of frames that wait of all clients, beyond which a further one is answered that there is no home; default 64 MiB. */
  readonly heldTotalBytes: number;
  /** Ms for which a frame waits for a home, after which it is answered that there is none; default 30,000. */
  readonly heldMs: number;
  /** Ms for which what a client was in the middle of waits for a home, after which it is told that it is cut; default 5 minutes. */
  readonly goOnMs: number;
  /** Ms for which a home is asked again for a session whose server is away, after which its client is told so; default 5 minutes. */
  readonly restoreMs: number;
  /** Ms after the last client of a tenant, or its last session, has left, until this replica gives the tenant up; default 30,000. */
  readonly unusedMs: number;
  /** Ms between two looks whether a tenant that is to move has come to rest; default 50. */
  readonly lookMs: number;
}

const KIB = 1024;

export const FORWARD_LIMITS: ForwardLimits = {
  frameBytes: 65 * KIB * KIB,
  unreadBytes: 256 * KIB,
  readStepBytes: 64 * KIB,
  acceptMs: 25_000,
  heldBytes: 256 * KIB,
  heldTotalBytes: 64 * KIB * KIB,
  heldMs: 30_000,
  goOnMs: 300_000,
  restoreMs: 300_000,
  unusedMs: 30_000,
  lookMs: 50,
};
