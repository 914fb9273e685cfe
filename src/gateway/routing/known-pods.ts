/** What was found out about the pods of servers: whose they are, and the token of each. */
import { SERVER_PORT } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client/client.ts';
import { type Pod, Secret } from '../../kube/types/builtins.ts';
import { getControllerOf } from '../../kube/types/owner.ts';
import { keyOf } from '../../kube/types/types.ts';
import { tokenIn } from '../../resources/connection-token.ts';
import { childName } from '../../resources/names.ts';
import type { GatewayServer, TenantRef } from '../model.ts';
import { tenantUIDOf } from './owner-chain.ts';
import type { ServingPod } from './serving.ts';

interface Known {
  /** UID of the tenant whose server it is; undefined: nobody's. */
  readonly owner: string | undefined;
  /** The pod as a server, once it has served. */
  server?: GatewayServer;
}

/** Entries live as long as their pods, so there are never more than pods. */
export class KnownPods {
  readonly #client: Pick<KubeClient, 'get'>;
  /** By the UID of the pod. */
  readonly #known = new Map<string, Known>();

  constructor(client: Pick<KubeClient, 'get'>) {
    this.#client = client;
  }

  /** Whether the pod is the server's own of the tenant with this UID. False as long as that was not read. */
  isOwn({ metadata: { uid = '' } }: Pod, tenantUID: string): boolean {
    return this.#known.get(uid)?.owner === tenantUID;
  }

  /** Reads whose the pod is, unless that is known. @throws ApiError if an owner cannot be read */
  async check(pod: Pod, tenantUID: string, signal: AbortSignal): Promise<void> {
    if (this.isOwn(pod, tenantUID)) return;
    const owner = await tenantUIDOf(this.#client, pod, signal);
    this.#known.set(pod.metadata.uid ?? '', { owner });
  }

  /** The pod serves no more, maybe not for ever: when its container starts again it may have another token. */
  stopped({ metadata: { uid = '' } }: Pod): void {
    const known = this.#known.get(uid);
    if (known !== undefined) delete known.server;
  }

  forget({ metadata: { uid = '' } }: Pod): void {
    this.#known.delete(uid);
  }

  /** The server in this pod: the same object as long as the pod serves at this address, so that its token is read once. */
  serverIn({ server, pod, host }: ServingPod, tenant: TenantRef, tenantUID: string): GatewayServer {
    const { uid = '' } = pod.metadata;
    const known = this.#known.get(uid) ?? { owner: tenantUID };
    // Its sandbox was made anew, and a list shows only the end of that.
    if (known.server?.host === host) return known.server;
    const { read: token, drop: tokenRefused } = onceRead(() => this.#readToken(tenant, tenantUID));
    known.server = {
      key: keyOf({ namespace: tenant.namespace, name: server }),
      podUID: uid,
      host,
      port: SERVER_PORT,
      token,
      tokenRefused,
    };
    return known.server;
  }

  async #readToken({ namespace, name }: TenantRef, tenantUID: string): Promise<string> {
    const ref = { namespace, name: childName(name, 'token') };
    const secret = await this.#client.get(Secret, ref, { managedFields: false });
    const token = getControllerOf(secret)?.uid === tenantUID ? tokenIn(secret) : undefined;
    if (token === undefined) {
      throw new Error(
        `Secret ${keyOf(ref)} has no connection token of this tenant: the operator writes it again within a minute`,
      );
    }
    return token;
  }
}

/** Reads once for all callers; after an error, or when it was dropped, the next call reads again. */
function onceRead<T>(read: () => Promise<T>): { readonly read: () => Promise<T>; readonly drop: () => void } {
  let reading: Promise<T> | undefined;
  const drop = (): void => void (reading = undefined);
  return {
    read: () =>
      (reading ??= read().catch((error: unknown) => {
        drop();
        throw error;
      })),
    drop,
  };
}
