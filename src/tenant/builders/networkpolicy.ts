/** The NetworkPolicies of servers and of cleanup pods. */
import { type Access, FIELD_MANAGER, GATEWAY_APP_NAME, Label, SERVER_PORT } from '../../api/names.ts';
import type { EgressRule } from '../../api/tenant.ts';
import { NetworkPolicy } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { CLEANUP_COMPONENT } from '../../resources/cleanup-pod.ts';
import { childName, tenantPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { OperatorFacts } from '../model.ts';
import { publicBlocks } from './address-ranges.ts';
import { sharedMetadata } from './metadata.ts';

type PolicySpec = NonNullable<NetworkPolicy['spec']>;
type Ingress = NonNullable<PolicySpec['ingress']>[number];
type Egress = NonNullable<PolicySpec['egress']>[number];
type Peer = NonNullable<Egress['to']>[number];

// OpenShift's DNS pods listen on 5353: a policy applies to the port of the pod, not of the Service.
const DNS_PORTS = [53, 5353].flatMap((port) => [
  { port, protocol: 'UDP' },
  { port, protocol: 'TCP' },
]);

/** Who may connect to the servers, and where these may connect to. */
export function networkPolicy(tenant: CopilotTenant, facts: OperatorFacts, access: Access): NetworkPolicy {
  const { name } = tenant.metadata;
  return {
    apiVersion: apiVersionOf(NetworkPolicy),
    kind: NetworkPolicy.kind,
    metadata: sharedMetadata(tenant, childName(name, 'servers')),
    spec: {
      podSelector: { matchLabels: tenantPods(name) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [ingress(tenant, facts, access)],
      egress: serverEgress(tenant, facts),
    },
  };
}

/** Selects the cleanup pods of a tenant. */
const cleanupPods = (tenant: string) => ({ [Label.tenant]: tenant, [Label.component]: CLEANUP_COMPONENT });

/** Cleanup pods may connect to the tenant's servers and to DNS; nothing may connect to them. */
export function cleanupNetworkPolicy(tenant: CopilotTenant, facts: OperatorFacts): NetworkPolicy {
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
        dns(facts),
        { to: [{ podSelector: { matchLabels: tenantPods(name) } }], ports: [{ port: SERVER_PORT, protocol: 'TCP' }] },
      ],
    },
  };
}

function ingress({ metadata: { name: tenant }, spec }: CopilotTenant, facts: OperatorFacts, access: Access): Ingress {
  const installed = (app: string): Peer => ({
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': facts.namespace } },
    podSelector: { matchLabels: { [Label.name]: app } },
  });
  return {
    from: [
      installed(FIELD_MANAGER),
      access === 'Gateway' ? installed(GATEWAY_APP_NAME) : { podSelector: { matchLabels: { [Label.client]: tenant } } },
      // Only with a TTL, so that the policies of other tenants did not change when cleanup was introduced.
      ...(spec.sessions.ttl === undefined ? [] : [{ podSelector: { matchLabels: cleanupPods(tenant) } }]),
    ],
    ports: [{ port: SERVER_PORT, protocol: 'TCP' }],
  };
}

function serverEgress({ spec: { network } }: CopilotTenant, facts: OperatorFacts): Egress[] {
  if (network.policy === 'Open') return [{}];
  const open = network.policy === 'Restricted' ? publicAddresses(facts) : [];
  return [dns(facts), ...open, ...(network.egress ?? []).map(egress)];
}

function dns({ clusterDNS }: OperatorFacts): Egress {
  return {
    to: clusterDNS.map((server) =>
      'cidr' in server
        ? { ipBlock: { cidr: server.cidr } }
        : {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': server.namespace } },
            podSelector: { matchLabels: { [server.label.key]: server.label.value } },
          },
    ),
    ports: DNS_PORTS,
  };
}

function publicAddresses({ clusterCIDRs }: OperatorFacts): Egress[] {
  const to = publicBlocks(clusterCIDRs).map(({ cidr, except }) => ({ ipBlock: { cidr, except: [...except] } }));
  // A rule without destinations would allow all of them.
  return to.length === 0 ? [] : [{ to }];
}

function egress({ cidr, except, namespaceSelector, podSelector, ports }: EgressRule): Egress {
  const peer: Peer =
    cidr === undefined
      ? { ...(namespaceSelector && { namespaceSelector }), ...(podSelector && { podSelector }) }
      : { ipBlock: { cidr, ...(except && { except }) } };
  return { to: [peer], ...(ports && { ports: ports.map((port) => ({ protocol: 'TCP', ...port })) }) };
}
