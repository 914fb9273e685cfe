/** The NetworkPolicies of servers and of cleanup pods. */
import { FIELD_MANAGER, Label, SERVER_PORT } from '../../api/names.ts';
import type { EgressRule } from '../../api/tenant.ts';
import { NetworkPolicy } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { CLEANUP_COMPONENT } from '../../resources/cleanup-pod.ts';
import { childName, tenantPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { OperatorFacts } from '../model.ts';
import { sharedMetadata } from './metadata.ts';

type PolicySpec = NonNullable<NetworkPolicy['spec']>;
type Ingress = NonNullable<PolicySpec['ingress']>[number];
type Egress = NonNullable<PolicySpec['egress']>[number];
type Peer = NonNullable<Egress['to']>[number];

// The ranges of clusters, nodes, API servers and metadata services. A NetworkPolicy can only allow, so these are excepted from
// what is allowed. 100.64.0.0/10 is used by pod networks and by the metadata service of one cloud.
const PRIVATE_IPV4 = ['10.0.0.0/8', '100.64.0.0/10', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16'];
const PRIVATE_IPV6 = ['fc00::/7', 'fe80::/10'];
// OpenShift's DNS pods listen on 5353: a policy applies to the port of the pod, not of the Service.
const DNS_PORTS = [53, 5353];
// To any address, because cluster DNS may run in a pod, on the node (169.254.20.10) or outside the cluster.
const DNS: Egress = {
  ports: DNS_PORTS.flatMap((port) => [
    { port, protocol: 'UDP' },
    { port, protocol: 'TCP' },
  ]),
};

/** Who may connect to the servers, and where these may connect to. */
export function networkPolicy(tenant: CopilotTenant, facts: OperatorFacts): NetworkPolicy {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(NetworkPolicy),
    kind: NetworkPolicy.kind,
    metadata: sharedMetadata(tenant, childName(name, 'servers')),
    spec: {
      podSelector: { matchLabels: tenantPods(name) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [ingress(tenant, facts)],
      egress: tenant.spec.network.policy === 'Open' ? [{}] : restrictedEgress(tenant, facts),
    },
  };
}

/** Selects the cleanup pods of a tenant. */
const cleanupPods = (tenant: string) => ({ [Label.tenant]: tenant, [Label.component]: CLEANUP_COMPONENT });

/** Cleanup pods may connect to the tenant's servers and to DNS; nothing may connect to them. */
export function cleanupNetworkPolicy(tenant: CopilotTenant): NetworkPolicy {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(NetworkPolicy),
    kind: NetworkPolicy.kind,
    metadata: sharedMetadata(tenant, childName(name, 'cleanup')),
    spec: {
      podSelector: { matchLabels: cleanupPods(name) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [],
      egress: [
        DNS,
        { to: [{ podSelector: { matchLabels: tenantPods(name) } }], ports: [{ port: SERVER_PORT, protocol: 'TCP' }] },
      ],
    },
  };
}

function ingress({ metadata: { name: tenant }, spec }: CopilotTenant, facts: OperatorFacts): Ingress {
  return {
    from: [
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': facts.namespace } },
        podSelector: { matchLabels: { [Label.name]: FIELD_MANAGER } },
      },
      { podSelector: { matchLabels: { [Label.client]: tenant } } },
      // Only with a TTL, so that the policies of other tenants did not change when cleanup was introduced.
      ...(spec.sessions.ttl === undefined ? [] : [{ podSelector: { matchLabels: cleanupPods(tenant) } }]),
    ],
    ports: [{ port: SERVER_PORT, protocol: 'TCP' }],
  };
}

function restrictedEgress(tenant: CopilotTenant, facts: OperatorFacts): Egress[] {
  return [DNS, { to: publicAddresses(facts.clusterCIDRs) }, ...(tenant.spec.network.egress ?? []).map(egress)];
}

function publicAddresses(clusterCIDRs: readonly string[]): Peer[] {
  const isIPv6 = (cidr: string): boolean => cidr.includes(':');
  return [
    { ipBlock: { cidr: '0.0.0.0/0', except: [...PRIVATE_IPV4, ...clusterCIDRs.filter((cidr) => !isIPv6(cidr))] } },
    { ipBlock: { cidr: '::/0', except: [...PRIVATE_IPV6, ...clusterCIDRs.filter(isIPv6)] } },
  ];
}

function egress({ cidr, except, namespaceSelector, podSelector, ports }: EgressRule): Egress {
  const peer: Peer =
    cidr === undefined
      ? { ...(namespaceSelector && { namespaceSelector }), ...(podSelector && { podSelector }) }
      : { ipBlock: { cidr, ...(except && { except }) } };
  return { to: [peer], ...(ports && { ports: ports.map((port) => ({ protocol: 'TCP', ...port })) }) };
}
