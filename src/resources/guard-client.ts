/** Obtains grants from guards, for the operator's removals: the gateway has the record of each session, and the operator only what guards say. */
import { RpcError, type CallOptions, type Requester } from '../copilot/index.ts';
import type { Clock } from '../kube/clock/clock.ts';
import { timestamp } from '../kube/types/time.ts';
import type { Keys, NamedKey } from '../kube/types/keys.ts';
import { GRANT_METHOD, guardRefusal, type EpochHolder, type GuardErrorData } from './guard-protocol.ts';
import { grantSignerOf } from './grant-keys.ts';
import { signGrant, type GrantIntent } from './session-grant.ts';

/** Which session, on which server. */
export interface GrantRequest {
  /** `namespace/name` of the CopilotTenant. */
  readonly tenant: string;
  /** `namespace/name` of the server. */
  readonly server: string;
  readonly podUID: string;
  readonly sessionId: string;
  readonly intent: GrantIntent;
}

/** `heldBy`: the server that has the session, if it is another one and may still write it. */
export interface GrantResult {
  readonly heldBy?: string | undefined;
}

export interface GuardClientOptions {
  /** Those that sign grants, the present one first. */
  readonly keys: Keys;
  readonly clock: Pick<Clock, 'now'>;
  /** Whether the API server has no such pod any more: then a kubelet, or an administrator, has said that nothing of it runs. */
  readonly isGone: (holder: EpochHolder) => Promise<boolean>;
}

/** Each says an epoch that was not known before, that the holder is gone, or that a key is not known. */
const ATTEMPTS = 5;

export class GuardClient {
  readonly #options: GuardClientOptions;

  constructor(options: GuardClientOptions) {
    this.#options = options;
  }

  /**
   * Has the guard grant a session under the next epoch, so that whoever has it under a lower one can't write it any more.
   * @throws Error if there is no key yet, and what the call throws
   */
  async grant(server: Requester, request: GrantRequest, options: CallOptions): Promise<GrantResult> {
    let epoch = 1;
    const gone: string[] = [];
    // While keys are rotated a guard may know only the one before.
    const keys = [...this.#options.keys.all];
    for (let attempt = 1; ; attempt++) {
      try {
        await server.request(GRANT_METHOD, { grant: this.#sign(request, epoch, gone, keys[0]) }, options);
        return {};
      } catch (error) {
        const refusal = refusalIn(error);
        if (refusal === undefined || attempt === ATTEMPTS) throw error;
        const { rule, holder } = refusal;
        if (rule === 'BadGrant' && keys.length > 1) {
          keys.shift();
          continue;
        }
        // Between the answer and the next attempt the gateway may have raised it.
        if (refusal.epoch !== undefined) epoch = Math.max(epoch, refusal.epoch + 1);
        if (rule === 'NotClosed' && holder !== undefined && !gone.includes(holder.pod)) {
          if (!(await this.#options.isGone(holder))) return { heldBy: holder.server };
          gone.push(holder.pod);
        } else if (rule !== 'StaleEpoch') throw error;
      }
    }
  }

  #sign(
    { tenant, server, podUID, sessionId, intent }: GrantRequest,
    epoch: number,
    gone: readonly string[],
    key: NamedKey | undefined,
  ): string {
    const { clock } = this.#options;
    if (key === undefined) throw new Error('there is no key yet that signs grants');
    const issuedAt = timestamp(clock.now());
    const pods = gone.length === 0 ? undefined : gone;
    const grant = { tenant, server, pod: podUID, session: sessionId, epoch, intent, gone: pods, issuedAt };
    return signGrant(grant, grantSignerOf(key));
  }
}

function refusalIn(error: unknown): GuardErrorData | undefined {
  return error instanceof RpcError ? guardRefusal(error) : undefined;
}
