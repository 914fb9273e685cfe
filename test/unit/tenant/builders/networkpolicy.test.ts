import { BlockList, isIPv6 } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import type { Access } from '../../../../src/api/names.ts';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { cleanupLabels } from '../../../../src/resources/cleanup-pod.ts';
import { cleanupNetworkPolicy, networkPolicy } from '../../../../src/tenant/builders/networkpolicy.ts';
import type { OperatorFacts } from '../../../../src/tenant/model.ts';
import { OPERATOR, sampleTenant } from '../../../support/tenants.ts';

const policyOf = (network: CopilotTenantSpecInput['network'] = {}, facts: Partial<OperatorFacts> = {}) =>
  networkPolicy(sampleTenant({ network }), { ...OPERATOR, ...facts }, 'Direct').spec;
type Policy = ReturnType<typeof policyOf>;

/** Whether a policy lets its pods connect to a destination, as a network plugin decides it. */
function allows(policy: Policy, to: string | TargetPod, port = 443, protocol = 'TCP'): boolean {
  return (policy?.egress ?? [])
    .filter(({ ports }) => ports === undefined || ports.some((p) => p.port === port && p.protocol === protocol))
    .some(({ to: peers }) => peers === undefined || peers.some((peer) => isSelected(peer, to)));
}

/** A pod of another namespace. */
interface TargetPod {
  readonly namespace: string;
  readonly labels: Record<string, string>;
}
type Peer = NonNullable<NonNullable<NonNullable<Policy>['egress']>[number]['to']>[number];

function isSelected({ ipBlock, namespaceSelector, podSelector }: Peer, to: string | TargetPod): boolean {
  if (typeof to === 'string') {
    return (
      ipBlock !== undefined && within(to, ipBlock.cidr) && !(ipBlock.except ?? []).some((cidr) => within(to, cidr))
    );
  }
  const matches = (selector: { matchLabels?: Record<string, string> } | undefined, labels: Record<string, string>) =>
    selector !== undefined && Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return matches(namespaceSelector, { 'kubernetes.io/metadata.name': to.namespace }) && matches(podSelector, to.labels);
}

function within(address: string, cidr: string): boolean {
  const [net = '', prefix] = cidr.split('/');
  // Node counts IPv4 addresses as part of ::/0, Kubernetes does not.
  if (isIPv6(net) !== isIPv6(address)) return false;
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(net, Number(prefix), family);
  return list.check(address, family);
}

const PUBLIC = [
  ['GitHub', '140.82.112.3'],
  ['a public resolver', '1.1.1.1'],
  ['the address before 10.0.0.0/8', '9.255.255.255'],
  ['the address after 10.0.0.0/8', '11.0.0.0'],
  ['the addresses beside the WireServer of Azure', '168.63.129.15'],
  ['the addresses beside the WireServer of Azure', '168.63.129.17'],
  ['the last public IPv4 address', '223.255.255.255'],
  ['a public IPv6 address', '2606:50c0:8000::153'],
  ['a public IPv6 address after the protocol assignments', '2001:200::1'],
] as const;

const METADATA = [
  ['AWS, GCP, Azure, Oracle, OpenStack', '169.254.169.254'],
  ['AWS, by IPv6', 'fd00:ec2::254'],
  ['GCP, by IPv6', 'fd20:ce::254'],
  ['Oracle, by IPv6', 'fd00:c1::a9fe:a9fe'],
  ['OpenStack, by IPv6', 'fe80::a9fe:a9fe'],
  ['tasks of ECS', '169.254.170.2'],
  ['pod identities of EKS', '169.254.170.23'],
  ['pod identities of EKS, by IPv6', 'fd00:ec2::23'],
  ['Tencent', '169.254.0.23'],
  ['Alibaba', '100.100.100.200'],
  ['Oracle, the older one', '192.0.0.192'],
  ['the WireServer of Azure', '168.63.129.16'],
] as const;

const PRIVATE = [
  ['this network', '0.0.0.0'],
  ['private', '10.88.0.1'],
  ['private', '172.16.0.1'],
  ['private', '172.31.255.254'],
  ['private', '192.168.1.1'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['loopback', '127.0.0.1'],
  ['a relay of 6to4', '192.88.99.1'],
  ['benchmarks', '198.18.0.1'],
  ['documentation', '203.0.113.7'],
  ['multicast', '239.255.255.250'],
  ['reserved, used by pod networks', '240.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['loopback', '::1'],
  ['unique local', 'fd12::1'],
  ['link-local', 'fe80::1'],
  ['site-local', 'fec0::1'],
  ['multicast', 'ff02::1'],
  ['documentation', '2001:db8::1'],
  ['documentation', '3fff::1'],
  ['segment routing', '5f00::1'],
] as const;

// Each has 169.254.169.254 or another private IPv4 address inside.
const EMBEDDED = [
  ['mapped', '::ffff:169.254.169.254'],
  ['compatible', '::169.254.169.254'],
  ['NAT64', '64:ff9b::a9fe:a9fe'],
  ['NAT64', '64:ff9b::10.0.0.1'],
  ['local NAT64', '64:ff9b:1::a9fe:a9fe'],
  ['6to4', '2002:a9fe:a9fe::1'],
  ['Teredo', '2001::5601:5601'],
  ['ISATAP of a private prefix', 'fd00::5efe:a9fe:a9fe'],
] as const;

const KUBE_DNS = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } };

describe('who may connect to the servers', () => {
  const policy = policyOf();

  it('applies to every server of the tenant', () => {
    const { template } =
      deployment(sampleTenant(), 0, { image: { image: 'i', isDefault: true }, running: true, credentialsHash: '' })
        .spec ?? {};
    expect(template?.metadata?.labels).toMatchObject(policy?.podSelector?.matchLabels ?? { none: '' });
  });

  it('is restricted in both directions', () => {
    expect(policy?.policyTypes).toEqual(['Ingress', 'Egress']);
  });

  it.each(['Restricted', 'AllowList', 'Open'] as const)(
    'with %s only the operator and labelled pods of the namespace can',
    (policyName) => {
      expect(policyOf({ policy: policyName })?.ingress).toEqual([
        {
          from: [
            {
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'copilot-operator-system' } },
              podSelector: { matchLabels: { 'app.kubernetes.io/name': 'copilot-operator' } },
            },
            { podSelector: { matchLabels: { 'copilot-operator.dev/client-of': 'acme' } } },
          ],
          ports: [{ port: 4321, protocol: 'TCP' }],
        },
      ]);
    },
  );
});

describe('a tenant with access Gateway', () => {
  const ingressOf = (access: Access, sessions = {}) =>
    networkPolicy(sampleTenant({ sessions }), OPERATOR, access).spec?.ingress?.[0]?.from;

  it('lets the operator and the gateway of its namespace in, and no client', () => {
    const installed = (app: string) => ({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'copilot-operator-system' } },
      podSelector: { matchLabels: { 'app.kubernetes.io/name': app } },
    });
    expect(ingressOf('Gateway')).toEqual([installed('copilot-operator'), installed('copilot-gateway')]);
  });

  it('lets the cleanup in as with access Direct', () => {
    const ttl = { ttl: '1h' };
    expect(ingressOf('Gateway', ttl)?.slice(2)).toEqual(ingressOf('Direct', ttl)?.slice(2));
    expect(ingressOf('Gateway', ttl)).toHaveLength(3);
  });
});

describe('a tenant with a cleanup', () => {
  const cleanup = { 'copilot-operator.dev/tenant': 'acme', 'app.kubernetes.io/component': 'cleanup' };

  it('allows the cleanup to connect to its servers, in addition to the others', () => {
    const [without, within] = [{}, { ttl: '1h' }].map(
      (sessions) => networkPolicy(sampleTenant({ sessions }), OPERATOR, 'Direct').spec?.ingress?.[0],
    );
    expect(within?.from).toEqual([...(without?.from ?? []), { podSelector: { matchLabels: cleanup } }]);
    expect(within?.ports).toEqual(without?.ports);
  });

  it('allows cleanup pods to connect to servers and DNS only, and nothing to connect to them', () => {
    const { spec } = cleanupNetworkPolicy(sampleTenant(), OPERATOR);
    expect(cleanupLabels('acme')).toMatchObject(spec?.podSelector?.matchLabels ?? { none: '' });
    expect(spec?.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(spec?.ingress).toEqual([]);
    expect(allows(spec, KUBE_DNS, 53, 'UDP')).toBe(true);
    expect(allows(spec, '1.1.1.1', 53, 'UDP')).toBe(false);
    expect(spec?.egress?.slice(1)).toEqual([
      {
        to: [
          {
            podSelector: {
              matchLabels: { 'copilot-operator.dev/tenant': 'acme', 'app.kubernetes.io/component': 'server' },
            },
          },
        ],
        ports: [{ port: 4321, protocol: 'TCP' }],
      },
    ]);
  });
});

describe('where Restricted servers may connect to', () => {
  it.each(PUBLIC)('they reach %s, %s', (_, address) => {
    expect(allows(policyOf(), address)).toBe(true);
  });

  it.each(METADATA)('they do not reach the metadata service of %s, %s', (_, address) => {
    for (const port of [80, 443, 32526, 53, 5353]) expect(allows(policyOf(), address, port)).toBe(false);
  });

  it.each(PRIVATE)('they do not reach an address that is not public (%s), %s', (_, address) => {
    expect(allows(policyOf(), address)).toBe(false);
  });

  it.each(EMBEDDED)('they do not reach an IPv4 address inside an IPv6 address (%s), %s', (_, address) => {
    expect(allows(policyOf(), address)).toBe(false);
  });

  it.each([
    ['8.8.4.4', '8.8.0.0/16'],
    ['2606:50c0:8000::153', '2606:50c0::/32'],
  ])('they do not reach %s, a public address of the cluster', (address, cidr) => {
    expect(allows(policyOf({}, { clusterCIDRs: [cidr] }), address)).toBe(false);
    expect(allows(policyOf({}, { clusterCIDRs: [cidr] }), '140.82.112.3')).toBe(true);
  });

  it.each([
    ['IPv4', ['0.0.0.0/0'], '140.82.112.3', '2606:50c0:8000::153'],
    ['IPv6', ['::/0'], '2606:50c0:8000::153', '140.82.112.3'],
  ])('they reach no address of %s if all of it belongs to the cluster', (_, clusterCIDRs, blocked, other) => {
    expect(allows(policyOf({}, { clusterCIDRs }), blocked)).toBe(false);
    expect(allows(policyOf({}, { clusterCIDRs }), other)).toBe(true);
    expect(allows(policyOf({}, { clusterCIDRs: ['0.0.0.0/0', '::/0'] }), other)).toBe(false);
  });

  it('every exception is inside its range, or the API server would refuse the policy', () => {
    const clusterCIDRs = ['8.8.0.0/16', '2606:50c0::/32', 'fd00::/8', '10.0.0.0/8', '64:ff9b::/96'];
    const blocks = (policyOf({}, { clusterCIDRs })?.egress ?? []).flatMap(({ to }) =>
      (to ?? []).flatMap(({ ipBlock }) => ipBlock ?? []),
    );
    expect(blocks).not.toEqual([]);
    for (const { cidr, except = [] } of blocks) {
      for (const range of except) {
        expect([range, within(range.split('/')[0] ?? '', cidr)]).toEqual([range, true]);
        expect(Number(range.split('/')[1])).toBeGreaterThan(Number(cidr.split('/')[1]));
      }
      expect(new Set(except).size).toBe(except.length);
    }
  });

  it('they reach a range that the spec adds, without its exceptions', () => {
    const policy = policyOf({ egress: [{ cidr: '10.20.0.0/16', except: ['10.20.9.0/24'] }] });
    expect(['10.20.1.1', '10.20.9.1', '10.21.0.1'].map((address) => allows(policy, address))).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('they reach pods that the spec adds, on its ports only', () => {
    const rule = {
      namespaceSelector: { matchLabels: { team: 'models' } },
      podSelector: { matchLabels: { app: 'model' } },
    };
    const ports = [{ port: 8080 }, { port: 53, protocol: 'UDP' as const }];
    expect(policyOf({ egress: [{ ...rule, ports }] })?.egress?.at(-1)).toEqual({
      to: [rule],
      ports: [
        { port: 8080, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
      ],
    });
  });
});

describe.each(['Restricted', 'AllowList'] as const)('the DNS servers that %s servers reach', (policy) => {
  it.each([
    ['UDP', 53],
    ['TCP', 53],
    // OpenShift's DNS pods.
    ['UDP', 5353],
    ['TCP', 5353],
  ])('are the cluster’s, by %s on port %i', (protocol, port) => {
    expect(allows(policyOf({ policy }), KUBE_DNS, port, protocol)).toBe(true);
    expect(allows(policyOf({ policy }), '169.254.20.10', port, protocol)).toBe(true);
  });

  it('serve nothing else', () => {
    for (const port of [80, 443, 8080]) {
      expect(allows(policyOf({ policy }), KUBE_DNS, port)).toBe(false);
      expect(allows(policyOf({ policy }), '169.254.20.10', port)).toBe(false);
    }
  });

  it.each([
    ['another pod of kube-system', { namespace: 'kube-system', labels: { 'k8s-app': 'etcd' } }],
    ['a pod of another namespace with the label', { namespace: 'team', labels: { 'k8s-app': 'kube-dns' } }],
    ['a private address', '10.1.2.3'],
    ['a metadata service', '169.254.169.254'],
  ])('are not %s', (_, to) => {
    for (const port of [53, 5353]) expect(allows(policyOf({ policy }), to, port, 'UDP')).toBe(false);
  });

  it('are those that an administrator names', () => {
    const own = { namespace: 'dns', labels: { app: 'unbound' } };
    const policyWith = policyOf(
      { policy },
      { clusterDNS: [{ cidr: '10.96.0.10/32' }, { namespace: 'dns', label: { key: 'app', value: 'unbound' } }] },
    );
    expect(allows(policyWith, '10.96.0.10', 53, 'UDP')).toBe(true);
    expect(allows(policyWith, own, 53, 'TCP')).toBe(true);
    expect(allows(policyWith, KUBE_DNS, 53, 'UDP')).toBe(false);
  });
});

describe('where AllowList servers may connect to', () => {
  it.each([...PUBLIC, ...METADATA, ...PRIVATE, ...EMBEDDED])('they do not reach %s, %s', (_, address) => {
    for (const port of [53, 80, 443]) expect(allows(policyOf({ policy: 'AllowList' }), address, port)).toBe(false);
  });

  it('they reach what the spec adds', () => {
    const policy = policyOf({ policy: 'AllowList', egress: [{ cidr: '140.82.112.0/20' }] });
    expect(allows(policy, '140.82.112.3')).toBe(true);
    expect(allows(policy, '1.1.1.1')).toBe(false);
  });
});

describe('where Open servers may connect to', () => {
  it.each([...PUBLIC, ...METADATA, ...PRIVATE, ...EMBEDDED])('they reach %s, %s', (_, address) => {
    expect(allows(policyOf({ policy: 'Open' }), address)).toBe(true);
  });
});
