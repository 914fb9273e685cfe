/** Obtains grants from guards, for the operator's removals: the gateway has the record of each session, and the operator only what guards say. */
import { RpcError, type CallOptions, type Requester } from '../copilot/index.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { timestamp } from '../kube/types/time.ts';
import { fromKey } from '../kube/types/types.ts';
import type { Keys, NamedKey } from '../kube/types/keys.ts';
import { GRANT_METHOD, guardRefusal, type GuardErrorData } from './guard-protocol.ts';
import { grantSignerOf } from './grant-keys.ts';
import type { PodFates } from './pod-fate.ts';
import { signGrant, type GrantIntent } from './session-grant.ts';

/** Which session, on which server. */
export interface GuardedSession {
  /** `namespace/name` of the CopilotTenant. */
  readonly tenant: string;
  /** `namespace/name` of the server. */
  readonly server: string;
  readonly podUID: string;
  readonly sessionId: string;
}

export interface GrantRequest extends GuardedSession {
  readonly intent: GrantIntent;
  /** The epoch that was learned: only the next one is taken. Undefined: any. */
  readonly after?: number | undefined;
}

/** What came of it; with neither the session is granted. */
export interface GrantResult {
  /** The server that has the session, if it is another one and may still write it; `why`: what its pod does, and how it is ended. */
  readonly heldBy?: { readonly server: string; readonly why: string } | undefined;
  /** Somebody has been granted the session since the epoch was learned. */
  readonly isOvertaken?: boolean | undefined;
}

export interface GuardClientOptions {
  /** Those that sign grants, the present one first. */
  readonly keys: Keys;
  readonly clock: Pick<Clock, 'now'>;
  readonly fates: PodFates;
}

/** Each says an epoch that was not known before, or that the holder is gone. */
const ATTEMPTS = 5;

/** A grant as it is signed for one attempt. */
interface Attempt {
  readonly epoch: number;
  readonly gone: readonly string[];
  /** Those that may sign it: while keys are rotated a guard may know only the one before. What it does not know is taken away. */
  readonly keys: NamedKey[];
}

interface Refused extends GuardErrorData {
  readonly error: RpcError;
}

export class GuardClient {
  readonly #options: GuardClientOptions;

  constructor(options: GuardClientOptions) {
    this.#options = options;
  }

  /**
   * The highest epoch of a session that the guard knows. It is what a grant that comes too late is refused with. If the guard knows of none,
   * the first one is granted by that.
   * @throws Error if there is no key yet, and what the call throws
   */
  async epochOf(server: Requester, session: GuardedSession, options: CallOptions): Promise<number> {
    const attempt = { epoch: 1, gone: [], keys: [...this.#options.keys.all] };
    const refused = await this.#ask(server, { ...session, intent: 'delete' }, attempt, options);
    if (refused === undefined) return attempt.epoch;
    if (refused.epoch === undefined) throw refused.error;
    return refused.epoch;
  }

  /**
   * Has the guard grant a session under the next epoch, so that whoever has it under a lower one can't write it any more.
   * @throws Error if there is no key yet, and what the call throws
   */
  async grant(server: Requester, request: GrantRequest, options: CallOptions): Promise<GrantResult> {
    const { after } = request;
    let epoch = (after ?? 0) + 1;
    const gone: string[] = [];
    const keys = [...this.#options.keys.all];
    for (let attempt = 1; ; attempt++) {
      const refused = await this.#ask(server, request, { epoch, gone, keys }, options);
      if (refused === undefined) return {};
      const { rule, holder, error } = refused;
      if (rule === 'StaleEpoch' && after !== undefined) return { isOvertaken: true };
      if (attempt === ATTEMPTS) throw error;
      if (rule === 'NotClosed' && holder !== undefined && !gone.includes(holder.pod)) {
        const { isGone, message } = await this.#options.fates.fateOf(
          fromKey(holder.server).namespace ?? '',
          holder.pod,
        );
        if (!isGone) return { heldBy: { server: holder.server, why: message } };
        gone.push(holder.pod);
      } else if (rule !== 'StaleEpoch') throw error;
      // Between the answer and the next attempt the gateway may have raised it.
      if (after === undefined) epoch = Math.max(epoch, (refused.epoch ?? 0) + 1);
    }
  }

  /** Why the guard refuses it; undefined: it does not. */
  async #ask(
    server: Requester,
    request: GrantRequest,
    attempt: Attempt,
    options: CallOptions,
  ): Promise<Refused | undefined> {
    for (;;) {
      try {
        await server.request(GRANT_METHOD, { grant: this.#sign(request, attempt) }, options);
        return undefined;
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        const refusal = guardRefusal(error);
        if (refusal === undefined) throw error;
        if (refusal.rule !== 'BadGrant' || attempt.keys.length < 2) return { ...refusal, error };
        attempt.keys.shift();
      }
    }
  }

  #sign({ tenant, server, podUID, sessionId, intent }: GrantRequest, { epoch, gone, keys: [key] }: Attempt): string {
    const { clock } = this.#options;
    if (key === undefined) throw new Error('there is no key yet that signs grants');
    const issuedAt = timestamp(clock.now());
    const pods = gone.length === 0 ? undefined : gone;
    const grant = { tenant, server, pod: podUID, session: sessionId, epoch, intent, gone: pods, issuedAt };
    return signGrant(grant, grantSignerOf(key));
  }
}
