/** Adds this replica and its peers to the manager of the process. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { GatewayPeers } from '../../gateway/peers/gateway-peers.ts';
import { PEER_LEASES } from '../../gateway/peers/lease.ts';
import type { PeerObserver } from '../../gateway/peers/peer-observer.ts';
import type { Manager } from '../../kube/runtime/manager.ts';
import { Lease } from '../../kube/types/builtins.ts';
import type { Keys } from '../../kube/types/keys.ts';
import type { GatewayOptions } from './options.ts';

/** Bytes of randomness in the id of a process. */
const SUFFIX_BYTES = 6;
const newSuffix = (): string => randomBytes(SUFFIX_BYTES).toString('hex');

/**
 * `peers.leave` is to be called when the connections to servers are closed. Until then it must go on: clients that stay while the gateway
 * stops have their homes.
 */
export function addPeers(
  manager: Manager,
  { pod }: Pick<GatewayOptions, 'pod'>,
  at: { readonly port: number; readonly namespace: string; readonly keys: Keys },
  observer: PeerObserver,
): GatewayPeers {
  const { client, clock, random, log } = manager;
  const { namespace, port, keys } = at;
  const peers = new GatewayPeers({
    client,
    leases: manager.informer(Lease, { namespaces: [namespace], labelSelector: PEER_LEASES }),
    keys,
    clock,
    random,
    newSuffix,
    log,
    observer,
    namespace,
    // Two processes of one machine are no successors of each other.
    name: pod.name ?? `${hostname().toLowerCase()}-${newSuffix()}`,
    podUID: pod.uid,
    at: { port },
    host: pod.ip ?? '127.0.0.1',
  });
  manager.addRunnable({ name: 'peers', stopsLast: true, run: (stopping) => peers.run(stopping) });
  manager.addReadyCheck(peers.ready);
  return peers;
}
