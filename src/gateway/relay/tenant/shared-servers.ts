/** The servers of one tenant that share a volume: which sessions leave which server, and when (docs/adr/0063-moves.md). */
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey } from '../../../kube/types/types.ts';
import type { GatewayTenant, PodFates } from '../../model.ts';
import { decideLeaving } from '../fence/decide-leaving.ts';
import type { Fence, FencedServer } from '../fence/fence.ts';
import type { Home } from '../home/home.ts';
import type { SharedVolume } from '../home/moves.ts';
import type { RelayLimits } from '../model.ts';
import type { Session } from '../session/session.ts';

/** What the relay has of a tenant whose servers share a volume. */
export interface SharedTenant {
  readonly makeFence: (serverOf: (key: string) => FencedServer | undefined) => Fence;
  /** Undefined: it cannot be found out, and nothing is loaded. */
  readonly fates: PodFates | undefined;
}

export interface SharedServersOptions extends SharedTenant {
  readonly find: () => GatewayTenant | undefined;
  readonly clock: Pick<Clock, 'setTimer'>;
  readonly limits: Pick<RelayLimits, 'awayMs'>;
  readonly homes: () => Iterable<Home>;
  /** Those that the tenant has now. */
  readonly current: () => readonly Home[];
  readonly serverOf: (key: string) => Home | undefined;
  /** Another server, where sessions of this one can go on; undefined: there is none now. */
  readonly otherFor: (home: Home) => Home | undefined;
  readonly unused: (sessionId: string, key: string) => void;
}

/** Of one tenant. */
export class SharedServers implements SharedVolume<Home> {
  readonly fence: Fence;
  readonly #options: SharedServersOptions;
  /** Servers that are away, with the next look at what became of their pods. */
  readonly #looks = new Map<Home, { cancel(): void }>();
  /** Why sessions of a server that is away may not be loaded elsewhere. */
  readonly #fenced = new WeakMap<Home, string>();
  #isClosed = false;

  constructor(options: SharedServersOptions) {
    this.#options = options;
    this.fence = options.makeFence(options.serverOf);
  }

  hostOf(session: Session): Home | undefined {
    for (const home of this.#options.homes()) if (home.session(session.id) === session) return home;
    return undefined;
  }

  otherFor(home: Home): Home | undefined {
    return this.#options.otherFor(home);
  }

  hasOthers(home: Home): boolean {
    return this.#options.current().some((each) => each !== home && each.drain.comesBack);
  }

  unused(sessionId: string, { key }: Home): void {
    this.#options.unused(sessionId, key);
  }

  lost(home: Home): void {
    this.#lookLater(home);
  }

  /** Why the sessions of a server that is away are at no other one, for clients; undefined: that is not known, or they need not be. */
  fencedBy(home: Home): string | undefined {
    return home.drain.isReturning ? undefined : this.#fenced.get(home);
  }

  /** The tenant has changed: servers may have drained, and pods be gone. */
  changed(): void {
    const { pods = [] } = this.#options.find() ?? {};
    for (const home of this.#options.homes()) this.#leave(home, (podUID) => !pods.includes(podUID));
  }

  close(): void {
    this.#isClosed = true;
    this.fence.close();
    for (const look of this.#looks.values()) look.cancel();
    this.#looks.clear();
  }

  /** `isGone`: whether the pod is gone, as far as is known. Before a session is loaded elsewhere, the fence finds that out for sure. */
  #leave(home: Home, isGone: (podUID: string) => boolean): void {
    const { drain, upstream } = home;
    const { lastPodUID } = upstream;
    const verdict = decideLeaving({
      hasSessions: home.isUsed,
      isOpen: upstream.isOpen,
      isDrainedForGood: drain.phase === 'Drained' && !drain.comesBack,
      isReturning: drain.isReturning,
      isThere: home.podUID !== undefined,
      isPodGone: lastPodUID !== undefined && isGone(lastPodUID),
    });
    if (verdict.reason === 'Drained' || verdict.reason === 'PodGone') home.moves.leaveAll();
  }

  #lookLater(home: Home): void {
    if (this.#isClosed || this.#looks.has(home)) return;
    const { clock, limits } = this.#options;
    this.#looks.set(
      home,
      clock.setTimer(limits.awayMs, () => void this.#look(home)),
    );
  }

  /** A server has been away for a while: its clients are told why, and its sessions leave it if its pod is gone. */
  async #look(home: Home): Promise<void> {
    this.#looks.delete(home);
    const { fates, otherFor } = this.#options;
    const { lastPodUID } = home.upstream;
    if (home.upstream.isOpen || !home.isUsed || lastPodUID === undefined) return void this.#fenced.delete(home);
    const fate = await fates?.fateOf(fromKey(home.key).namespace ?? '', lastPodUID);
    if (this.#isClosed) return;
    if (home.upstream.isOpen || fate === undefined || otherFor(home) === undefined) this.#fenced.delete(home);
    else if (fate.isGone) {
      this.#fenced.delete(home);
      this.#leave(home, (podUID) => podUID === lastPodUID);
    } else
      this.#fenced.set(home, `server ${fromKey(home.key).name} cannot be reached, and has it loaded: ${fate.message}`);
    if (!home.upstream.isOpen) this.#lookLater(home);
  }
}
