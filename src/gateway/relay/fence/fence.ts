/**
 * Lets a server load a session of a tenant whose servers share a volume, and no two at a time: the record says where it is, under an epoch that
 * only rises, and the guard of each server takes no word under a lower one (docs/adr/0063-moves.md).
 */
import { UnreachableError } from '../../../copilot/index.ts';
import { LruMap } from '../../../kube/cache/lru.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey } from '../../../kube/types/types.ts';
import type { GrantSigner } from '../../../resources/session-grant.ts';
import {
  CoordinationUnavailableError,
  MAX_EPOCH,
  type CoordinationStore,
  type Place,
  type SessionKey,
  type SessionRecord,
} from '../../locks/store.ts';
import type { PodFates, TenantRef } from '../../model.ts';
import { Grants, StaleEpochError, asked, forgedEpoch, refusedBy, type FencedServer } from './grants.ts';
import { LeftPlaces, NotLeftError } from './left-places.ts';
import { FencedError, type RelayLimits } from '../model.ts';
import { Settling } from './settling.ts';

export type { FencedServer } from './grants.ts';

/** What the fences of all tenants share. */
export interface FenceMeans {
  readonly store: CoordinationStore;
  readonly fates: PodFates;
  /** With the present key first, and then the one before, which guards that do not know the present one yet take. Empty: none was read yet. */
  readonly signers: () => readonly GrantSigner[];
  /** This process: no other one, before or later, has this name. */
  readonly holder: string;
}

export interface FenceOptions {
  /** Undefined: the gateway has none, and no session is loaded. */
  readonly means: FenceMeans | undefined;
  readonly tenant: TenantRef;
  readonly tenantUID: string;
  /** The server of this key; undefined: the tenant does not have it any more, and nothing is connected to it. */
  readonly serverOf: (key: string) => FencedServer | undefined;
  readonly clock: Pick<Clock, 'monotonic' | 'now' | 'setTimer' | 'sleep'>;
  readonly limits: Pick<RelayLimits, 'awayMs' | 'callTimeoutMs'>;
  /** Something of which nobody waits has failed. */
  readonly onFailure: (method: string, error: unknown) => void;
}

/** What this process knows of a session. */
interface Standing {
  record: SessionRecord;
  /** UIDs of the pods that are not at the place: they have closed it under the record's epoch, or are gone. */
  readonly left: Set<string>;
  /** Those that are gone. Only those that the guard asked for are named to it: a grant that names many is too long. */
  readonly gone: Set<string>;
  readonly named: Set<string>;
  /** Whether its place may have it: the guard there was asked, or somebody else may have asked it before. */
  mayBeThere: boolean;
  /** An epoch above the record's that guards may know: its place was asked to close the session under it. */
  floor: number;
}

/** That a place could not be left. */
interface Refused {
  readonly error: NotLeftError;
  /** Monotonic ms. */
  readonly until: number;
}

/** Sessions of a tenant of which it is remembered. Of others the store is asked. */
const REMEMBERED = 10_000;
/** How often a write or a grant is tried again that another one has overtaken. */
const ATTEMPTS = 5;
/** Who wants a session within so long, in ms, after somebody has waited in vain hears the same at once: calls about it come one after the other. */
const REFUSED_MS = 2_000;

/** Of one tenant. To be called in the turn of its session, one at a time. */
export class Fence {
  readonly #options: FenceOptions;
  readonly #known = new LruMap<string, Standing>(REMEMBERED);
  readonly #refused = new LruMap<string, Refused>(REMEMBERED);
  readonly #grants: Grants;
  readonly #places: LeftPlaces;
  readonly #settling: Settling;

  constructor(options: FenceOptions) {
    this.#options = options;
    this.#grants = new Grants({ ...options, signers: () => this.#means.signers() });
    this.#places = new LeftPlaces({ ...options, grants: this.#grants, fates: () => this.#means.fates });
    this.#settling = new Settling({
      ...options,
      settle: (sessionId, record) => this.#means.store.settle(this.#keyOf(sessionId), record),
      isLast: (sessionId, record) => this.#known.get(sessionId)?.record === record,
      settled: (sessionId, record) => {
        const standing = this.#known.get(sessionId);
        if (standing?.record.epoch === record.epoch) standing.record = record;
      },
    });
  }

  /** Nothing is to be written any more. */
  close(): void {
    this.#settling.close();
  }

  /**
   * Has the guard of the server take calls about the session from the present connection, after every other server has closed it.
   * @throws CopilotError if the server is lost or away; FencedError if another one may have it, or the guard refuses it;
   * CoordinationUnavailableError if the store does not answer
   */
  async admit(sessionId: string, server: FencedServer): Promise<void> {
    await server.upstream.opened();
    await this.#unlessRefused(sessionId, () => this.#admit(sessionId, server));
  }

  async #admit(sessionId: string, server: FencedServer): Promise<void> {
    const { podUID } = server.upstream;
    // It was lost after it opened.
    if (podUID === undefined) throw new UnreachableError(`${server.key}: the connection was lost`);
    const place: Place = { server: server.key, podUID };
    let floor = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        const standing = await this.#standing(sessionId, place, floor, server);
        await this.#load(sessionId, server, podUID, standing);
        // Nobody waits for that: until it is written the next one has more to close, and no less.
        if (standing.record.state === 'Moving') void this.#settling.settle(sessionId, standing.record);
        return;
      } catch (error) {
        if (!(error instanceof StaleEpochError)) throw error;
        if (error.epoch >= MAX_EPOCH - 1) throw forgedEpoch(sessionId, error.epoch);
        // Somebody was here since, or the store has lost what it knew.
        floor = Math.max(floor, error.epoch);
        this.#known.delete(sessionId);
      }
    }
    throw new FencedError(`server ${fromKey(server.key).name} could not be given it in ${ATTEMPTS} attempts`);
  }

  /** Has every other server close the session, which this one is to load later. @throws as `admit` */
  async prepare(sessionId: string, server: FencedServer): Promise<void> {
    const { podUID } = server;
    if (podUID === undefined) throw new UnreachableError(`${server.key}: the server is away`);
    const place = { server: server.key, podUID };
    await this.#unlessRefused(sessionId, () => this.#standing(sessionId, place, 0, server));
  }

  /**
   * Has a server unload a session that is not needed there any more, and write on the volume that it has: then any other one may load it, also
   * when this one is lost. Returns whether it has done so.
   */
  async release(sessionId: string, server: FencedServer): Promise<boolean> {
    const { limits, onFailure } = this.#options;
    const { isOpen, podUID } = server.upstream;
    const standing = this.#known.get(sessionId);
    if (standing === undefined || !isOpen || podUID === undefined) return false;
    const { record, floor } = standing;
    const isHere = isSame(record.place, { server: server.key, podUID });
    // Nobody is given this number by the store, and guards know to whom they have given which: as with the operator's.
    const epoch = isHere ? Math.max(record.epoch, standing.floor) + 1 : record.epoch;
    if (isHere) standing.floor = epoch;
    try {
      const refusal = await this.#grants.ask(server, podUID, { sessionId, epoch, intent: 'close', gone: [] });
      if (refusal !== undefined) {
        // Somebody has had it since: that number is his.
        if (refusal.rule === 'StaleEpoch') this.#known.delete(sessionId);
        // Nothing has changed. After anything else the guard may know the number.
        if (refusal.rule === 'Busy' || refusal.rule === 'BadGrant') standing.floor = floor;
        throw refusedBy(server, refusal);
      }
      const answer = await asked(server, 'sessions.close', { sessionId }, limits.callTimeoutMs);
      if (answer.kind !== 'Answer' || answer.head.isError) throw new FencedError('the server has not closed it');
    } catch (error) {
      onFailure('sessions.close', error);
      return false;
    }
    if (isHere) standing.mayBeThere = false;
    else standing.left.add(podUID);
    return true;
  }

  /** Whether a session of this id may ever have been loaded, by the store and the volume. @throws as `admit` */
  async isKnown(sessionId: string, server: FencedServer): Promise<boolean> {
    const { podUID } = server;
    if (this.#known.has(sessionId) || (await this.#means.store.read(this.#keyOf(sessionId))) !== undefined) return true;
    if (podUID === undefined) return true;
    const wanted = { sessionId, epoch: 1, intent: 'load', gone: [] } as const;
    const stamps = await this.#grants.epochs(server, podUID, wanted, this.#options.limits.callTimeoutMs);
    return stamps?.length !== 0;
  }

  /** The session was deleted. */
  forget(sessionId: string): void {
    const { onFailure } = this.#options;
    const standing = this.#known.get(sessionId);
    this.#known.delete(sessionId);
    if (standing === undefined) return;
    this.#means.store
      .forget(this.#keyOf(sessionId), standing.record)
      .catch((error: unknown) => onFailure('forget the record', error));
  }

  async #unlessRefused<T>(sessionId: string, run: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const last = this.#refused.get(sessionId);
    if (last !== undefined && clock.monotonic() < last.until) throw last.error;
    try {
      return await run();
    } catch (error) {
      if (error instanceof NotLeftError) this.#refused.set(sessionId, { error, until: clock.monotonic() + REFUSED_MS });
      throw error;
    }
  }

  /** Has the guard take the grant, after it was closed wherever the shared volume says that it is. */
  async #load(sessionId: string, server: FencedServer, podUID: string, standing: Standing): Promise<void> {
    const { gone, named } = standing;
    const { epoch } = standing.record;
    standing.mayBeThere = true;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const refusal = await this.#grants.ask(server, podUID, { sessionId, epoch, intent: 'load', gone: [...named] });
      if (refusal === undefined) return;
      if (refusal.rule === 'StaleEpoch') throw new StaleEpochError(refusal.epoch);
      if (refusal.rule !== 'NotClosed' || refusal.holder === undefined) throw refusedBy(server, refusal);
      // It is gone, or the store has lost that it was there.
      const { server: key, pod } = refusal.holder;
      const place = { server: key, podUID: pod };
      if (!gone.has(pod) && (await this.#places.leave({ sessionId, place, epoch, next: server })) === 'Gone')
        gone.add(pod);
      if (gone.has(pod)) named.add(pod);
    }
    throw new FencedError(`it was closed ${ATTEMPTS} times, and is open again`);
  }

  /** That the session is to be at this place, that of the server, and nowhere else, under an epoch of this process. */
  async #standing(sessionId: string, place: Place, floor: number, next: FencedServer): Promise<Standing> {
    const known = this.#known.get(sessionId);
    const least = Math.max(floor, known?.floor ?? 0);
    const isThere = known !== undefined && isSame(known.record.place, place) && known.record.epoch > least;
    const standing = isThere ? known : await this.#advance(sessionId, place, least, known);
    const { epoch, leaving } = standing.record;
    for (const each of leaving) {
      if (standing.left.has(each.podUID)) continue;
      if ((await this.#places.leave({ sessionId, place: each, epoch, next })) === 'Gone')
        standing.gone.add(each.podUID);
      standing.left.add(each.podUID);
    }
    return standing;
  }

  async #advance(sessionId: string, place: Place, floor: number, known: Standing | undefined): Promise<Standing> {
    const { store, holder } = this.#means;
    const key = this.#keyOf(sessionId);
    let seen = known === undefined ? await store.read(key) : known.record;
    let left = known === undefined ? [] : leftBy(known);
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const { outcome, record } = await store.advance(key, { seen, floor, place, holder, left });
      if (outcome === 'Won') {
        const sets = { left: new Set<string>(), gone: new Set<string>(), named: new Set<string>() };
        const standing = { record, ...sets, mayBeThere: mayHaveBeenAt(place, seen), floor: 0 };
        this.#known.set(sessionId, standing);
        return standing;
      }
      seen = record;
      // Who has written that may have brought it back to where it was closed.
      left = [...(known?.gone ?? [])];
    }
    throw new FencedError(`its record was changed ${ATTEMPTS} times by others`);
  }

  get #means(): FenceMeans {
    const { means } = this.#options;
    if (means === undefined)
      throw new FencedError('the gateway has no coordination store (gateway.coordination of the chart)');
    return means;
  }

  #keyOf(session: string): SessionKey {
    return { tenant: this.#options.tenantUID, session };
  }
}

/** Whether a session could not be loaded because of others that may have it: it can be as soon as that is known. */
export function isFenced(error: unknown): boolean {
  return error instanceof FencedError || error instanceof CoordinationUnavailableError;
}

function isSame(a: Place, b: Place): boolean {
  return a.server === b.server && a.podUID === b.podUID;
}

/** The pods that do not have it, as far as it is certain: they need not be left for the next record. */
function leftBy({ record, left, mayBeThere }: Standing): string[] {
  return mayBeThere ? [...left] : [...left, record.place.podUID];
}

/** Whether somebody may have loaded it there before: without a record nobody knows. */
function mayHaveBeenAt({ podUID }: Place, seen: SessionRecord | undefined): boolean {
  return seen === undefined || [seen.place, ...seen.leaving].some((each) => each.podUID === podUID);
}
