/** Which DNS servers the tenants' pods may reach: from the flag `--cluster-dns`, else the usual ones of a cluster. */
import { isIP } from 'node:net';
import type { DNSServer } from '../../tenant/model.ts';
import { isCIDR, list, UsageError } from '../flags.ts';

/** Pods that serve DNS in kubeadm's, most clouds' and OpenShift's clusters, and the address of NodeLocal DNSCache. */
const USUAL: readonly DNSServer[] = [
  { namespace: 'kube-system', label: { key: 'k8s-app', value: 'kube-dns' } },
  { namespace: 'kube-system', label: { key: 'k8s-app', value: 'node-local-dns' } },
  { namespace: 'openshift-dns', label: { key: 'dns.operator.openshift.io/daemonset-dns', value: 'default' } },
  { cidr: '169.254.20.10/32' },
];

/**
 * Parses `--cluster-dns`: addresses, ranges, and pods as NAMESPACE/KEY=VALUE. Undefined: the flag is not set.
 * @throws UsageError
 */
export function clusterDNSFlag(text: string | undefined): DNSServer[] | undefined {
  if (text === undefined) return undefined;
  const servers = list(text).map(dnsServer);
  // A rule without destinations would allow all of them.
  if (servers.length === 0) throw new UsageError(`--cluster-dns=${text}: must name at least one DNS server`);
  return servers;
}

const PODS = /^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/([-\w./]+)=([-\w.]*)$/;

function dnsServer(text: string): DNSServer {
  const family = isIP(text);
  if (family !== 0) return { cidr: `${text}/${family === 4 ? 32 : 128}` };
  if (isCIDR(text)) return { cidr: text };
  const [, namespace, key, value] = PODS.exec(text) ?? [];
  if (namespace !== undefined && key !== undefined && value !== undefined) return { namespace, label: { key, value } };
  throw new UsageError(`--cluster-dns: ${text} must be an address, a range, or pods as NAMESPACE/KEY=VALUE`);
}

/**
 * The usual DNS servers, and those in `resolvConf`, the resolver configuration of the operator's own pod: its kubelet gives tenants' pods the
 * same. That covers a cluster whose DNS answers on the node, where the address of its Service is not translated to that of a pod.
 */
export function usualClusterDNS(resolvConf: string): DNSServer[] {
  const addresses = resolvConf
    .split('\n')
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((address) => isIP(address) !== 0 && !address.includes('%'));
  const known = new Set(USUAL.flatMap((server) => ('cidr' in server ? server.cidr : [])));
  // Sorted: the order in which a node lists them must not change the policies of all tenants.
  const found = [...new Set(addresses.map((address) => `${address}/${isIP(address) === 4 ? 32 : 128}`))].toSorted();
  return [...USUAL, ...found.filter((cidr) => !known.has(cidr)).map((cidr) => ({ cidr }))];
}
