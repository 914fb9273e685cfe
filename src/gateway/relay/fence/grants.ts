/** Asks guards of servers for grants, in words that say what to do when they refuse. */
import { UnreachableError, parseMessage } from '../../../copilot/index.ts';
import { GRANT_SECRET } from '../../../api/names.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import { fromKey, keyOf } from '../../../kube/types/types.ts';
import { GRANT_METHOD, guardRefusal, type GuardErrorData, type GuardRule } from '../../../resources/guard-protocol.ts';
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
  readonly upstream: Pick<Upstream, 'opened' | 'podUID' | 'requestWithin'>;
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
  async ask(server: FencedServer, pod: string, wanted: WantedGrant): Promise<GrantRefusal | undefined> {
    const signers = this.#options.signers();
    if (signers.length === 0) {
      const secret = `Secret ${GRANT_SECRET}, which the operator makes in its namespace`;
      throw new FencedError(`the gateway has no key yet that signs who may load it: it reads that of ${secret}`);
    }
    let refusal: GrantRefusal | undefined;
    // While keys are rotated, the one that was taken last comes first.
    for (const signer of signers.toSorted(
      (a, b) => Number(b.id === this.#takenKey) - Number(a.id === this.#takenKey),
    )) {
      refusal = await this.#askBy(signer, server, pod, wanted);
      if (refusal?.rule === 'BadGrant') continue;
      this.#takenKey = signer.id;
      break;
    }
    return refusal;
  }

  async #askBy(
    signer: GrantSigner,
    server: FencedServer,
    pod: string,
    { sessionId: session, epoch, intent, gone }: WantedGrant,
  ): Promise<GrantRefusal | undefined> {
    const { tenant, clock, limits } = this.#options;
    const issuedAt = new Date(clock.now()).toISOString();
    const names = { tenant: keyOf(tenant), server: server.key, pod, session };
    const grant = signGrant({ ...names, epoch, intent, ...(gone.length > 0 && { gone }), issuedAt }, signer);
    const answer = await asked(server, GRANT_METHOD, { grant }, limits.callTimeoutMs);
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

/** What whoever wants a session is told of a guard that refuses it. */
export function refusedBy(server: FencedServer, { rule, message }: GrantRefusal): FencedError {
  const remedy = REMEDIES[rule];
  const what = `the guard of server ${fromKey(server.key).name} refuses it (${rule}): ${message}`;
  return new FencedError(remedy === undefined ? what : `${what}; ${remedy}`);
}

/** The answer, copied: it is looked at later. */
export function asked(server: FencedServer, method: string, params: object, ms: number): Promise<ServerAnswer> {
  return new Promise((resolve) => {
    server.upstream.requestWithin(ms, method, params, (answer) => {
      resolve(answer.kind === 'Answer' ? { ...answer, body: Buffer.from(answer.body) } : answer);
    });
  });
}
