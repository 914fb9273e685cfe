/**
 * Lets a server load a session of a tenant whose servers share a volume, and no two at a time: the record says where it is, under an epoch that
 * only rises, and the guard of each server takes no word under a lower one (docs/adr/0063-moves.md).
 */
import { CopilotError, UnreachableError, setDeadline } from '../../../copilot/index.ts';
import { LruMap } from '../../../kube/cache/lru.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey } from '../../../kube/types/types.ts';
import { epochsOf } from '../../../resources/guard-protocol.ts';
import type { GrantIntent, GrantSigner } from '../../../resources/session-grant.ts';
import {
  CoordinationUnavailableError,
  MAX_EPOCH,
  type CoordinationStore,
  type Place,
  type SessionKey,
  type SessionRecord,
} from '../../locks/store.ts';
import type { PodFate, PodFates, TenantRef } from '../../model.ts';
import { Grants, asked, refusedBy, type FencedServer } from './grants.ts';
import { FencedError, type RelayLimits } from '../model.ts';

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
  readonly record: SessionRecord;
  /** Every other place has closed it, or is gone. */
  isLeft: boolean;
  /** UIDs of the pods that are gone. Only those that the guard asked for are named to it: a grant that names many is too long. */
  readonly gone: Set<string>;
  readonly named: Set<string>;
}

/** How a place was left. */
type Leaving = 'Closed' | 'Gone';

/** Sessions of a tenant of which it is remembered. Of others the store is asked. */
const REMEMBERED = 10_000;
/** How often a write or a grant is tried again that another one has overtaken. */
const ATTEMPTS = 5;
/** How often it is looked whether a server that is away has come back, or its pod is gone, in ms. */
const LOOK_MS = 500;

/** Of one tenant. To be called in the turn of its session, one at a time. */
export class Fence {
  readonly #options: FenceOptions;
  readonly #known = new LruMap<string, Standing>(REMEMBERED);
  readonly #grants: Grants;

  constructor(options: FenceOptions) {
    this.#options = options;
    this.#grants = new Grants({ ...options, signers: () => this.#means.signers() });
  }

  /**
   * Has the guard of the server take calls about the session from the present connection, after every other server has closed it.
   * @throws CopilotError if the server is lost or away; FencedError if another one may have it, or the guard refuses it;
   * CoordinationUnavailableError if the store does not answer
   */
  async admit(sessionId: string, server: FencedServer, intent: 'load' | 'delete' = 'load'): Promise<void> {
    await server.upstream.opened();
    const { podUID } = server.upstream;
    // It was lost after it opened.
    if (podUID === undefined) throw new UnreachableError(`${server.key}: the connection was lost`);
    const place: Place = { server: server.key, podUID };
    let floor = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        const standing = await this.#standing(sessionId, place, floor);
        await this.#load(sessionId, server, podUID, intent, standing);
        return this.#settle(sessionId, standing);
      } catch (error) {
        if (!(error instanceof StaleEpochError)) throw error;
        if (error.epoch >= MAX_EPOCH - 1) throw forged(sessionId, error.epoch);
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
    await this.#standing(sessionId, { server: server.key, podUID }, 0);
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

  /** Has the guard take the grant, after it was closed wherever the shared volume says that it is. */
  async #load(
    sessionId: string,
    server: FencedServer,
    podUID: string,
    intent: GrantIntent,
    { record: { epoch }, gone, named }: Standing,
  ): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const refusal = await this.#grants.ask(server, podUID, { sessionId, epoch, intent, gone: [...named] });
      if (refusal === undefined) return;
      if (refusal.rule === 'StaleEpoch') throw new StaleEpochError(refusal.epoch);
      if (refusal.rule !== 'NotClosed' || refusal.holder === undefined) throw refusedBy(server, refusal);
      // It is gone, or the store has lost that it was there.
      const { server: key, pod } = refusal.holder;
      if (!gone.has(pod) && (await this.#leave(sessionId, { server: key, podUID: pod }, epoch)) === 'Gone')
        gone.add(pod);
      if (gone.has(pod)) named.add(pod);
    }
    throw new FencedError(`it was closed ${ATTEMPTS} times, and is open again`);
  }

  /** That the session is to be at this place and nowhere else, under an epoch of this process. */
  async #standing(sessionId: string, place: Place, floor: number): Promise<Standing> {
    const known = this.#known.get(sessionId);
    const isThere = known !== undefined && isSame(known.record.place, place) && known.record.epoch > floor;
    const standing = isThere ? known : await this.#advance(sessionId, place, floor, known?.record);
    if (standing.isLeft) return standing;
    for (const each of standing.record.leaving) {
      if (standing.gone.has(each.podUID)) continue;
      if ((await this.#leave(sessionId, each, standing.record.epoch)) === 'Gone') standing.gone.add(each.podUID);
    }
    standing.isLeft = true;
    return standing;
  }

  async #advance(sessionId: string, place: Place, floor: number, known: SessionRecord | undefined): Promise<Standing> {
    const { store, holder } = this.#means;
    const key = this.#keyOf(sessionId);
    let seen = known ?? (await store.read(key));
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const { outcome, record } = await store.advance(key, { seen, floor, place, holder });
      if (outcome === 'Won') {
        const standing = {
          record,
          isLeft: record.leaving.length === 0,
          gone: new Set<string>(),
          named: new Set<string>(),
        };
        this.#known.set(sessionId, standing);
        return standing;
      }
      seen = record;
    }
    throw new FencedError(`its record was changed ${ATTEMPTS} times by others`);
  }

  /** Nobody waits for that: until it is written the next one has more to close, and no less. */
  #settle(sessionId: string, standing: Standing): void {
    const { onFailure } = this.#options;
    if (standing.record.state === 'Placed') return;
    this.#means.store
      .settle(this.#keyOf(sessionId), standing.record)
      .then(({ outcome, record }) => {
        if (this.#known.get(sessionId) !== standing) return;
        if (outcome === 'Won') this.#known.set(sessionId, { ...standing, record });
      })
      .catch((error: unknown) => onFailure('settle the record', error));
  }

  /** Has a place close the session under the epoch, or finds that nothing runs there any more. Waits a while for either. */
  async #leave(sessionId: string, place: Place, epoch: number): Promise<Leaving> {
    const { clock, limits, serverOf } = this.#options;
    const { fates } = this.#means;
    const deadline = clock.monotonic() + limits.awayMs;
    const { namespace } = fromKey(place.server);
    for (;;) {
      const server = serverOf(place.server);
      if (server?.podUID === place.podUID && (await this.#isClosed(sessionId, server, place.podUID, epoch)))
        return 'Closed';
      const fate: PodFate = await fates.fateOf(namespace ?? '', place.podUID);
      if (fate.isGone) return 'Gone';
      if (clock.monotonic() >= deadline) {
        const name = fromKey(place.server).name;
        throw new FencedError(`server ${name} may have it loaded and cannot be asked to close it: ${fate.message}`);
      }
      await clock.sleep(LOOK_MS);
    }
  }

  /** @throws StaleEpochError if somebody has had it since */
  async #isClosed(sessionId: string, server: FencedServer, podUID: string, epoch: number): Promise<boolean> {
    const { limits, onFailure } = this.#options;
    try {
      await this.#opened(server);
      if (server.upstream.podUID !== podUID) return false;
      // In one go: what is sent over the next connection would be without its grant.
      const granted = this.#grants.ask(server, podUID, { sessionId, epoch, intent: 'close', gone: [] });
      const closed = asked(server, 'sessions.close', { sessionId }, limits.callTimeoutMs);
      const refusal = await granted;
      const answer = await closed;
      if (refusal === undefined && answer.kind === 'Answer' && !answer.head.isError) return true;
      if (refusal?.rule === 'StaleEpoch') throw new StaleEpochError(refusal.epoch);
      onFailure('sessions.close', new FencedError(refusal?.rule ?? 'the server has not closed it'));
    } catch (error) {
      if (!(error instanceof CopilotError)) throw error;
      onFailure('sessions.close', error);
    }
    return false;
  }

  /** Waits no longer for a server to close a session than for one that is away. */
  async #opened(server: FencedServer): Promise<void> {
    const { clock, limits } = this.#options;
    const controller = new AbortController();
    const deadline = setDeadline(clock, limits.awayMs, () => controller.abort());
    try {
      await server.upstream.opened(controller.signal);
    } finally {
      deadline.cancel();
    }
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

/** A guard knows a higher epoch than the one that it was told. */
class StaleEpochError extends FencedError {
  readonly epoch: number;

  constructor(epoch = 0) {
    super('another replica of the gateway has it by now');
    this.epoch = epoch;
  }
}

/** Whether a session could not be loaded because of others that may have it: it can be as soon as that is known. */
export function isFenced(error: unknown): boolean {
  return error instanceof FencedError || error instanceof CoordinationUnavailableError;
}

/** No gateway gave it, and there is none above it: whoever writes to the volume did that. */
function forged(sessionId: string, epoch: number): FencedError {
  return new FencedError(
    `the volume says that it is at epoch ${epoch}, which no gateway gives: ` +
      `suspend the tenant, remove ${epochsOf(sessionId)} from the shared volume, and let it run again`,
  );
}

function isSame(a: Place, b: Place): boolean {
  return a.server === b.server && a.podUID === b.podUID;
}
