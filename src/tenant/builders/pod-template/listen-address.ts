/** The address on which a server listens. */
import type { Deployment, Service } from '../../../kube/types/builtins.ts';
import { SERVER_CONTAINER } from '../../../resources/pod.ts';

export type IPFamily = 'IPv4' | 'IPv6';

export const ANY_IPV4 = '0.0.0.0';
/** Where a server listens that has a guard in front of it. */
export const LOOPBACK = '127.0.0.1';
const ANY = '::';

/**
 * Both programs listen on IPv4 and IPv6 at `::`, but exit where the kernel has no IPv6 (`ipv6.disable=1`). So they do only where the
 * cluster assigns IPv6 addresses: there the kubelet and the Service would not reach a server at 0.0.0.0.
 */
export function listenAddress(family: IPFamily): string {
  return family === 'IPv6' ? ANY : ANY_IPV4;
}

/**
 * The family of a server's addresses: the API server assigns the cluster's primary one to its Service, and pods have the same. It
 * cannot change while the Service exists; while that is missing, the server's Deployment says what it was.
 */
export function ipFamilyOf(service: Service | undefined, deployment: Deployment | undefined): IPFamily {
  const family = service?.spec?.ipFamilies?.[0];
  if (family !== undefined) return family === 'IPv6' ? 'IPv6' : 'IPv4';
  const containers = deployment?.spec?.template.spec?.containers ?? [];
  const args = containers.find(({ name }) => name === SERVER_CONTAINER)?.args ?? [];
  return args.includes(ANY) ? 'IPv6' : 'IPv4';
}
