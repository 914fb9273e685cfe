import { describe, expect, it } from '@jest/globals';
import { usualClusterDNS } from '../../../src/commands/operator/cluster-dns.ts';

const usual = usualClusterDNS('');
const added = (resolvConf: string) => usualClusterDNS(resolvConf).slice(usual.length);

describe('the usual DNS servers of a cluster', () => {
  it('are pods of kube-system and of OpenShift, and NodeLocal DNSCache', () => {
    expect(usual).toEqual([
      { namespace: 'kube-system', label: { key: 'k8s-app', value: 'kube-dns' } },
      { namespace: 'kube-system', label: { key: 'k8s-app', value: 'node-local-dns' } },
      { namespace: 'openshift-dns', label: { key: 'dns.operator.openshift.io/daemonset-dns', value: 'default' } },
      { cidr: '169.254.20.10/32' },
    ]);
  });

  it('include those of the operator’s own pod, in an order that does not depend on its node', () => {
    const [first, second] = ['nameserver 10.96.0.10', 'nameserver fd00::a'];
    const expected = [{ cidr: '10.96.0.10/32' }, { cidr: 'fd00::a/128' }];
    expect(added(`search svc.cluster.local\n${first}\n${second}\noptions ndots:5\n`)).toEqual(expected);
    expect(added(`${second}\n${first}\n${first}`)).toEqual(expected);
  });

  it.each([
    ['a comment', '# nameserver 10.96.0.10'],
    ['no address', 'nameserver dns.example.com'],
    ['an address that depends on an interface', 'nameserver fe80::1%eth0'],
    ['NodeLocal DNSCache, which is there already', 'nameserver 169.254.20.10'],
  ])('do not include %s', (_, line) => {
    expect(added(line)).toEqual([]);
  });
});
