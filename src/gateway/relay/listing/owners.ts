/** Whose the sessions of one tenant are, in a tenant whose users are kept apart. */
import { isObject, isSessionId } from '../../../copilot/index.ts';
import { LruMap } from '../../../kube/cache/lru.ts';
import type { Keys } from '../../../kube/types/keys.ts';
import { OWNER_LABEL } from '../../../resources/session-removal.ts';
import type { TenantRef } from '../../model.ts';
import { decideOwnership, type OwnershipDecision } from '../../ownership/decide.ts';
import type { SessionRecords } from '../../ownership/records.ts';
import { makeStamp, readStamp, STAMP_KEY, type StampedOwner } from '../../ownership/stamp.ts';
import type { Upstream } from '../server/upstream.ts';

/** What owners are found out with, the same for all tenants. */
export interface OwnershipSources {
  readonly keys: Keys;
  readonly records: SessionRecords;
  /** Cryptographically secure. */
  readonly randomBytes: (size: number) => Buffer;
}

export interface OwnersOptions extends OwnershipSources {
  readonly tenant: TenantRef;
}

/** The server that is asked. */
type Server = Pick<Upstream, 'call'>;

/** What the server has under an id. */
export interface StoredSession {
  readonly exists: boolean;
  readonly stamp: StampedOwner | undefined;
  /** The owner's label of a session that was never stamped. */
  readonly label: string | undefined;
}

/** Owners that are remembered of one tenant; of all others the stamp is read again. */
const REMEMBERED = 10_000;
/** The most ids that `sessions.getClientMetadata` takes. */
const BATCH = 1000;
/** Reasons for which a session is the user's own, and not one that it may only use. */
const OWNS: ReadonlySet<OwnershipDecision['reason']> = new Set(['Owner', 'Adopted']);
/** There is no session of this id. */
export const ABSENT: StoredSession = { exists: false, stamp: undefined, label: undefined };

/** By the stamps on its servers, which are read once for each session and owner. */
export class Owners {
  readonly #options: OwnersOptions;
  /** Owners of sessions whose stamp was read or written. */
  readonly #stamped = new LruMap<string, StampedOwner>(REMEMBERED);
  /** Owners of sessions that have no stamp yet, because they are older than the isolation. */
  readonly #adopted = new LruMap<string, string>(REMEMBERED);
  /** Users that are making a session of the id now: it has no stamp yet. */
  readonly #claims = new Map<string, string>();

  constructor(options: OwnersOptions) {
    this.#options = options;
  }

  /** Whether stamps can be made and CopilotSessions are known: nobody's session can be told from another one before. */
  get isReady(): boolean {
    const { keys, records } = this.#options;
    return keys.all.length > 0 && records.isSynced;
  }

  /** The decision, if it needs no look at the server. */
  known(sessionId: string, user: string): OwnershipDecision | undefined {
    const owner = this.ownerOf(sessionId);
    if (owner === undefined) return undefined;
    const decision = this.#decide(sessionId, user, true, owner);
    // For somebody else it takes the same look as at an id that nobody has.
    return decision.verdict === 'Own' ? decision : undefined;
  }

  /** The decision about what the server has under the id. */
  decide(sessionId: string, user: string, { exists, stamp, label }: StoredSession): OwnershipDecision {
    const claim = this.#claims.get(sessionId);
    const decision = this.#decide(sessionId, user, exists || claim !== undefined, claim ?? stamp?.owner, label);
    if (decision.verdict === 'Own' && stamp !== undefined) this.#stamped.set(sessionId, stamp);
    if (decision.reason === 'Adopted' && isSessionId(sessionId)) this.#adopted.set(sessionId, user);
    return decision;
  }

  /** Whether the user may hear that the session was made, changed or deleted. */
  mayHear(sessionId: string | undefined, user: string | undefined): boolean {
    return sessionId !== undefined && user !== undefined && this.known(sessionId, user) !== undefined;
  }

  /** Whether a client of the user may stay attached: it may not if its name was taken out of the CopilotSession. */
  mayStay(sessionId: string, user: string): boolean {
    const owner = this.#stamped.get(sessionId)?.owner;
    return owner === undefined || this.#decide(sessionId, user, true, owner).verdict === 'Own';
  }

  /** Looks at one id. @throws CopilotError if the server does not answer */
  async look(server: Server, sessionId: string): Promise<StoredSession> {
    return (await this.lookAt(server, [sessionId])).get(sessionId) ?? ABSENT;
  }

  /** Looks at many ids. @throws CopilotError if the server does not answer */
  async lookAt(server: Server, sessionIds: readonly string[]): Promise<Map<string, StoredSession>> {
    const found = new Map<string, StoredSession>();
    for (let from = 0; from < sessionIds.length; from += BATCH) {
      const params = { sessionIds: sessionIds.slice(from, from + BATCH), keys: [STAMP_KEY, OWNER_LABEL] };
      const entries = await server.call('sessions.getClientMetadata', params);
      for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
        if (!isObject(entry) || typeof entry['sessionId'] !== 'string') continue;
        found.set(entry['sessionId'], this.#stored(entry['sessionId'], entry));
      }
    }
    return found;
  }

  /** Which of these sessions of the server the user owns. @throws CopilotError if the server does not answer */
  async ownedBy(server: Server, user: string, sessionIds: readonly string[]): Promise<string[]> {
    const unknown = sessionIds.filter((id) => this.ownerOf(id) === undefined);
    const stored = await this.lookAt(server, unknown);
    for (const [id, { stamp }] of stored) if (stamp !== undefined) this.#stamped.set(id, stamp);
    return sessionIds.filter((id) => {
      const found = stored.get(id);
      return found === undefined
        ? this.ownerOf(id) === user
        : OWNS.has(this.#decide(id, user, found.exists, found.stamp?.owner, found.label).reason);
    });
  }

  /** Sessions that the user is making now. */
  claimedBy(user: string): string[] {
    return [...this.#claims].filter(([, claimant]) => claimant === user).map(([sessionId]) => sessionId);
  }

  /** The user makes the session from now on, until it is stamped or the claim is dropped. */
  claim(sessionId: string, user: string): void {
    this.#claims.set(sessionId, user);
  }

  /** The same, unless somebody else makes it. */
  claimFree(sessionId: string, user: string): void {
    if (!this.#claims.has(sessionId)) this.claim(sessionId, user);
  }

  /** Whether the server has just said that there is no such session, and somebody makes it. */
  isNew(sessionId: string): boolean {
    return this.#claims.has(sessionId);
  }

  /** The user does not make it any more, or has made it. */
  dropClaim(sessionId: string, user: string): void {
    if (this.#claims.get(sessionId) === user) this.#claims.delete(sessionId);
  }

  /**
   * Writes the stamp of a session that is new on the server, or one by the present key in place of one by a former key.
   * @throws RpcError if the server refuses it, CopilotError if it does not answer
   */
  async stamp(server: Server, sessionId: string, isNew: boolean): Promise<void> {
    const { keys, randomBytes } = this.#options;
    const [key] = keys.all;
    const before = this.#stamped.get(sessionId);
    const owner = this.#claims.get(sessionId) ?? before?.owner ?? this.#adopted.get(sessionId);
    if (owner === undefined || key === undefined)
      throw new Error('there is no owner, or no key, to stamp a session with');
    if (!isNew && before?.keyId === key.id) return;
    const stamp = makeStamp(this.#subject(sessionId), owner, key, randomBytes);
    // The label is what CopilotSessions are compared with, and what a person reads.
    const set = { [STAMP_KEY]: stamp, [OWNER_LABEL]: owner };
    await server.call('session.metadata.updateClientMetadata', { sessionId, set });
    this.#stamped.set(sessionId, { owner, keyId: key.id });
    this.#claims.delete(sessionId);
    this.#adopted.delete(sessionId);
  }

  /** The session was deleted: its id is free again. */
  forget(sessionId: string): void {
    this.#stamped.delete(sessionId);
    this.#adopted.delete(sessionId);
  }

  /** Whose it is, as far as it is known without a look. */
  ownerOf(sessionId: string): string | undefined {
    return this.#claims.get(sessionId) ?? this.#stamped.get(sessionId)?.owner ?? this.#adopted.get(sessionId);
  }

  #decide(
    sessionId: string,
    user: string,
    exists: boolean,
    owner: string | undefined,
    label?: string,
  ): OwnershipDecision {
    const { records, tenant } = this.#options;
    return decideOwnership({ user, exists, owner, label, record: records.find(tenant, sessionId) });
  }

  #stored(sessionId: string, { status, metadata }: Readonly<Record<string, unknown>>): StoredSession {
    // Anything but a clear no counts as a session: it must not be made again by somebody else.
    if (status === 'notFound') return ABSENT;
    const { [STAMP_KEY]: stamp, [OWNER_LABEL]: label } = isObject(metadata) ? metadata : {};
    return {
      exists: true,
      stamp: readStamp(this.#subject(sessionId), stamp, this.#options.keys.all),
      label: stamp === undefined && typeof label === 'string' ? label : undefined,
    };
  }

  #subject(sessionId: string): { namespace: string; tenant: string; sessionId: string } {
    const { namespace, name } = this.#options.tenant;
    return { namespace, tenant: name, sessionId };
  }
}
