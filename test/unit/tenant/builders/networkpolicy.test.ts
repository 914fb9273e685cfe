import { BlockList, isIPv6 } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { cleanupLabels } from '../../../../src/resources/cleanup-pod.ts';
import { cleanupNetworkPolicy, networkPolicy } from '../../../../src/tenant/builders/networkpolicy.ts';
import { OPERATOR, sampleTenant } from '../../../support/tenants.ts';

const policyOf = (network: CopilotTenantSpecInput['network'] = {}, clusterCIDRs: string[] = []) =>
  networkPolicy(sampleTenant({ network }), { ...OPERATOR, clusterCIDRs }).spec;
type Policy = ReturnType<typeof policyOf>;

/** Whether the policy lets a server connect to this address on port 443, as a network plugin decides it. */
function reaches(policy: Policy, address: string): boolean {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  const within = (cidr: string): boolean => {
    const [net = '', prefix] = cidr.split('/');
    // Node counts IPv4 addresses as part of ::/0, Kubernetes does not.
    if (isIPv6(net) !== isIPv6(address)) return false;
    const list = new BlockList();
    list.addSubnet(net, Number(prefix), family);
    return list.check(address, family);
  };
  return (policy?.egress ?? [])
    .filter(({ ports }) => ports === undefined || ports.some(({ port }) => port === 443))
    .some(
      ({ to }) =>
        to === undefined ||
        to.some(({ ipBlock }) => ipBlock && within(ipBlock.cidr) && !(ipBlock.except ?? []).some(within)),
    );
}

const PUBLIC = ['140.82.112.3', '1.1.1.1', '2606:50c0:8000::153'];
const METADATA = ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', 'fe80::a9fe:a9fe'];
const PRIVATE = ['10.88.0.1', '172.16.0.1', '172.31.255.254', '192.168.1.1', '100.64.0.1', 'fd12::1'];

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

  it.each(['Restricted', 'Open'] as const)(
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

describe('a tenant with a cleanup', () => {
  const cleanup = { 'copilot-operator.dev/tenant': 'acme', 'app.kubernetes.io/component': 'cleanup' };

  it('allows the cleanup to connect to its servers, in addition to the others', () => {
    const [without, within] = [{}, { ttl: '1h' }].map(
      (sessions) => networkPolicy(sampleTenant({ sessions }), OPERATOR).spec?.ingress?.[0],
    );
    expect(within?.from).toEqual([...(without?.from ?? []), { podSelector: { matchLabels: cleanup } }]);
    expect(within?.ports).toEqual(without?.ports);
  });

  it('allows cleanup pods to connect to servers and DNS only, and nothing to connect to them', () => {
    const { spec } = cleanupNetworkPolicy(sampleTenant());
    expect(cleanupLabels('acme')).toMatchObject(spec?.podSelector?.matchLabels ?? { none: '' });
    expect(spec?.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(spec?.ingress).toEqual([]);
    expect(spec?.egress?.map(({ to, ports }) => [to, ports?.map(({ port }) => port)])).toEqual([
      [undefined, [53, 53, 5353, 5353]],
      [
        [
          {
            podSelector: {
              matchLabels: { 'copilot-operator.dev/tenant': 'acme', 'app.kubernetes.io/component': 'server' },
            },
          },
        ],
        [4321],
      ],
    ]);
  });
});

describe('where Restricted servers may connect to', () => {
  it.each(PUBLIC)('they reach the public address %s', (address) => {
    expect(reaches(policyOf(), address)).toBe(true);
  });

  it.each(METADATA)('they do not reach the metadata service at %s', (address) => {
    expect(reaches(policyOf(), address)).toBe(false);
  });

  it.each(PRIVATE)('they do not reach the private address %s', (address) => {
    expect(reaches(policyOf(), address)).toBe(false);
  });

  it.each([
    ['203.0.113.7', '203.0.113.0/24'],
    ['2001:db8::7', '2001:db8::/32'],
  ])('they do not reach %s, a public address of the cluster', (address, cidr) => {
    expect(reaches(policyOf({}, [cidr]), address)).toBe(false);
  });

  it('every exception is in a range of its own IP family, or the API server would refuse the policy', () => {
    const blocks = (policyOf({}, ['203.0.113.0/24', '2001:db8::/32'])?.egress ?? []).flatMap(({ to }) =>
      (to ?? []).flatMap(({ ipBlock }) => ipBlock ?? []),
    );
    const mixed = blocks.filter(({ cidr, except }) =>
      except?.some((range) => range.includes(':') !== cidr.includes(':')),
    );
    expect(mixed).toEqual([]);
  });

  it('they reach any DNS server, by UDP and TCP', () => {
    const anywhere = (policyOf()?.egress ?? []).filter(({ to }) => to === undefined);
    expect(anywhere.flatMap(({ ports }) => ports ?? [])).toEqual([
      { port: 53, protocol: 'UDP' },
      { port: 53, protocol: 'TCP' },
      { port: 5353, protocol: 'UDP' },
      { port: 5353, protocol: 'TCP' },
    ]);
  });

  it('they reach a range that the spec adds, without its exceptions', () => {
    const policy = policyOf({ egress: [{ cidr: '10.20.0.0/16', except: ['10.20.9.0/24'] }] });
    expect(['10.20.1.1', '10.20.9.1', '10.21.0.1'].map((address) => reaches(policy, address))).toEqual([
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

describe('where Open servers may connect to', () => {
  it.each([...PUBLIC, ...METADATA, ...PRIVATE])('they reach %s', (address) => {
    expect(reaches(policyOf({ policy: 'Open' }), address)).toBe(true);
  });
});
