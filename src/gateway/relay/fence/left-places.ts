/** Has places leave a session: their servers close it, or it is found that their pods are gone, or that the volume says they have closed it. */
import { CopilotError, setDeadline } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey } from '../../../kube/types/types.ts';
import type { LeftPlace } from '../../locks/store.ts';
import type { PodFates } from '../../model.ts';
import { decideLeft } from './decide-left.ts';
import { asked, StaleEpochError, type FencedServer, type Grants } from './grants.ts';
import { FencedError, type RelayLimits } from '../model.ts';

export interface LeftPlacesOptions {
  readonly grants: Grants;
  readonly fates: () => PodFates;
  readonly serverOf: (key: string) => FencedServer | undefined;
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer' | 'sleep'>;
  readonly limits: Pick<RelayLimits, 'awayMs'>;
  readonly onFailure: (method: string, error: unknown) => void;
}

/** What is to be left: under which epoch, and by whom it is to be loaded next. */
export interface Departure {
  readonly sessionId: string;
  readonly place: LeftPlace;
  readonly epoch: number;
  readonly next: FencedServer;
}

/** How a place was left. `Gone`: its pod is. */
export type Leaving = 'Closed' | 'Gone';

/** A server that may have a session loaded can't be asked to close it. */
export class NotLeftError extends FencedError {}

/** How often it is looked whether a server that is away has come back, or its pod is gone, in ms. */
const LOOK_MS = 500;
/** So long it is dialled before it is looked again what became of its pod, in ms. */
const DIAL_MS = 2_000;
/** A server that has come back at the last moment gets so long, in ms. */
const LEAST_MS = 1_000;

/** Of one tenant. */
export class LeftPlaces {
  readonly #options: LeftPlacesOptions;

  constructor(options: LeftPlacesOptions) {
    this.#options = options;
  }

  /** Waits a while for either. @throws NotLeftError if it cannot be told; StaleEpochError if somebody has had the session since */
  async leave(departure: Departure): Promise<Leaving> {
    const { clock, limits, serverOf, fates } = this.#options;
    const { place } = departure;
    const deadline = clock.monotonic() + limits.awayMs;
    const { namespace } = fromKey(place.server);
    let isVolumeAsked = false;
    for (;;) {
      const found = serverOf(place.server);
      const server = found?.podUID === place.podUID ? found : undefined;
      const isOpen = server?.upstream.isOpen === true;
      if (server !== undefined && isOpen && (await this.#isClosed(departure, server, deadline))) return 'Closed';
      const isLeft: boolean | undefined = isVolumeAsked ? false : await this.#isLeft(departure, deadline);
      if (isLeft === true) return 'Closed';
      // It says the same a moment later.
      isVolumeAsked ||= isLeft !== undefined;
      if (server !== undefined && !isOpen && (await this.#isClosed(departure, server, deadline))) return 'Closed';
      const fate = await fates().fateOf(namespace ?? '', place.podUID);
      if (fate.isGone) return 'Gone';
      if (clock.monotonic() >= deadline) {
        const name = fromKey(place.server).name;
        throw new NotLeftError(`server ${name} may have it loaded and cannot be asked to close it: ${fate.message}`);
      }
      await clock.sleep(LOOK_MS);
    }
  }

  /** Whether the place has left it by what the next server reads on the volume; undefined: that does not say. */
  async #isLeft({ sessionId, place, epoch, next }: Departure, deadline: number): Promise<boolean | undefined> {
    const { podUID } = next.upstream;
    // Nobody waits for it: it may not come, and another place be what is waited for.
    if (!next.upstream.isOpen || podUID === undefined) return undefined;
    const wanted = { sessionId, epoch, intent: 'load', gone: [] } as const;
    const stamps = await this.#options.grants.epochs(next, podUID, wanted, this.#left(deadline));
    if (stamps === undefined) return undefined;
    const { reason } = decideLeft(place, stamps);
    return reason === 'Closed' || reason === 'Replaced';
  }

  async #isClosed({ sessionId, place, epoch }: Departure, server: FencedServer, deadline: number): Promise<boolean> {
    const { grants, onFailure } = this.#options;
    try {
      await this.#opened(server, deadline);
      if (server.upstream.podUID !== place.podUID) return false;
      const ms = this.#left(deadline);
      // In one go: what is sent over the next connection would be without its grant.
      const granted = grants.ask(server, place.podUID, { sessionId, epoch, intent: 'close', gone: [] }, ms);
      const closed = asked(server, 'sessions.close', { sessionId }, ms);
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

  async #opened(server: FencedServer, deadline: number): Promise<void> {
    const controller = new AbortController();
    const ms = Math.min(this.#left(deadline), DIAL_MS);
    const timer = setDeadline(this.#options.clock, ms, () => controller.abort());
    try {
      await server.upstream.opened(controller.signal);
    } finally {
      timer.cancel();
    }
  }

  #left(deadline: number): number {
    return Math.max(deadline - this.#options.clock.monotonic(), LEAST_MS);
  }
}
