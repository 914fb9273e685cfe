/** Asks guards of servers for grants, in words that say what to do when they refuse. */
import { UnreachableError, parseMessage } from '../../../copilot/index.ts';
import { GRANT_SECRET } from '../../../api/names.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey, keyOf } from '../../../kube/types/types.ts';
import {
  EPOCHS_METHOD,
  GRANT_METHOD,
  epochsOf,
  guardRefusal,
  stampedEpochs,
  type GuardErrorData,
  type GuardRule,
  type StampedEpoch,
} from '../../../resources/guard-protocol.ts';
import { signGrant, type GrantIntent, type GrantSigner } from '../../../resources/session-grant.ts';
import type { TenantRef } from '../../model.ts';
import { FencedError, type RelayLimits, type ServerAnswer } from '../model.ts';
import type { Upstream } from '../server/upstream.ts';

/** One server, as the fence needs it. */
export interface FencedServer {
  /** `namespace/server`. */
  readonly key: string;
  /** Where it can be connected to now; undefined: nowhere. */
  readonly podUID: string | undefined;
  readonly upstream: Pick<Upstream, 'opened' | 'isOpen' | 'podUID' | 'requestWithin'>;
}

/** What is asked for. */
export interface WantedGrant {
  readonly sessionId: string;
  readonly epoch: number;
  readonly intent: GrantIntent;
  readonly gone: readonly string[];
}

/** Why a guard refuses it. */
export interface GrantRefusal extends GuardErrorData {
  readonly message: string;
}

export interface GrantsOptions {
  readonly tenant: TenantRef;
  /** The present key first. Empty: none was read yet. */
  readonly signers: () => readonly GrantSigner[];
  readonly clock: Pick<Clock, 'now'>;
  readonly limits: Pick<RelayLimits, 'callTimeoutMs'>;
}

/** A guard's words are short. Whoever writes to its volume may be behind longer ones. */
const MOST_CHARACTERS = 300;

/** What an administrator does about a refusal that does not pass by itself. */
const REMEDIES: Partial<Record<GuardRule, string>> = {
  StorageFailed: "look at the log of the pod's container guard, and at the space and permissions of the shared volume",
  BadGrant: 'guards learn of a new key within two minutes: look at the ConfigMap with the public keys of grants',
};

/** Of one tenant. */
export class Grants {
  readonly #options: GrantsOptions;
  /** Id of the key whose grant was taken last. */
  #takenKey: string | undefined;

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /** Returns why the guard refuses it; undefined: it does not. @throws CopilotError, FencedError if there is no guard or no key */
  async ask(
    server: FencedServer,
    pod: string,
    wanted: WantedGrant,
    ms = this.#options.limits.callTimeoutMs,
  ): Promise<GrantRefusal | undefined> {
    let refusal: GrantRefusal | undefined;
    for (const signer of this.#signers()) {
      refusal = await this.#askBy(server, this.#signed(signer, server, pod, wanted), ms);
      if (refusal?.rule === 'BadGrant') continue;
      this.#takenKey = signer.id;
      break;
    }
    return refusal;
  }

  /**
   * What the guard reads of the session on the shared volume, with a grant that it does not take; undefined: it does not say.
   * @throws FencedError if there is no key
   */
  async epochs(
    server: FencedServer,
    pod: string,
    wanted: WantedGrant,
    ms: number,
  ): Promise<readonly StampedEpoch[] | undefined> {
    for (const signer of this.#signers()) {
      const answer = await asked(server, EPOCHS_METHOD, { grant: this.#signed(signer, server, pod, wanted) }, ms);
      if (answer.kind !== 'Answer') return undefined;
      const message = parseMessage(answer.body);
      if (message.kind === 'answer') return stampedEpochs(message.result);
      if (message.kind !== 'error' || guardRefusal(message)?.rule !== 'BadGrant') return undefined;
    }
    return undefined;
  }

  /** While keys are rotated, the one that was taken last comes first. */
  #signers(): readonly GrantSigner[] {
    const signers = this.#options.signers();
    if (signers.length === 0) {
      const secret = `Secret ${GRANT_SECRET}, which the operator makes in its namespace`;
      throw new FencedError(`the gateway has no key yet that signs who may load it: it reads that of ${secret}`);
    }
    return signers.toSorted((a, b) => Number(b.id === this.#takenKey) - Number(a.id === this.#takenKey));
  }

  #signed(
    signer: GrantSigner,
    server: FencedServer,
    pod: string,
    { sessionId: session, epoch, intent, gone }: WantedGrant,
  ): string {
    const { tenant, clock } = this.#options;
    const issuedAt = new Date(clock.now()).toISOString();
    const names = { tenant: keyOf(tenant), server: server.key, pod, session };
    return signGrant({ ...names, epoch, intent, ...(gone.length > 0 && { gone }), issuedAt }, signer);
  }

  async #askBy(server: FencedServer, grant: string, ms: number): Promise<GrantRefusal | undefined> {
    const answer = await asked(server, GRANT_METHOD, { grant }, ms);
    if (answer.kind === 'Lost') throw answer.error;
    if (answer.kind === 'Answer' && !answer.head.isError) return undefined;
    const error = answer.kind === 'Answer' ? parseMessage(answer.body) : undefined;
    if (error?.kind !== 'error') throw new UnreachableError(`${server.key}: no answer to ${GRANT_METHOD}`);
    const refusal = guardRefusal(error);
    if (refusal !== undefined) return { ...refusal, message: error.message.slice(0, MOST_CHARACTERS) };
    // Without a guard nothing keeps two servers from writing.
    const { name } = fromKey(server.key);
    throw new FencedError(
      `server ${name} has no guard (error ${error.code}): it was started before its tenant had guards; delete its pod with kubectl delete pod`,
    );
  }
}

/** A guard knows a higher epoch than the one that it was told. */
export class StaleEpochError extends FencedError {
  readonly epoch: number;

  constructor(epoch = 0) {
    super('another replica of the gateway has it by now');
    this.epoch = epoch;
  }
}

/** What whoever wants a session is told of a guard that refuses it. */
export function refusedBy(server: FencedServer, { rule, message }: GrantRefusal): FencedError {
  const remedy = REMEDIES[rule];
  const what = `the guard of server ${fromKey(server.key).name} refuses it (${rule}): ${message}`;
  return new FencedError(remedy === undefined ? what : `${what}; ${remedy}`);
}

/** No gateway gave it, and there is none above it: whoever writes to the volume did that. */
export function forgedEpoch(sessionId: string, epoch: number): FencedError {
  return new FencedError(
    `the volume says that it is at epoch ${epoch}, which no gateway gives: ` +
      `suspend the tenant, remove ${epochsOf(sessionId)} from the shared volume, and let it run again`,
  );
}

/** The answer, copied: it is looked at later. */
export function asked(server: FencedServer, method: string, params: object, ms: number): Promise<ServerAnswer> {
  return new Promise((resolve) => {
    server.upstream.requestWithin(ms, method, params, (answer) => {
      resolve(answer.kind === 'Answer' ? { ...answer, body: Buffer.from(answer.body) } : answer);
    });
  });
}
