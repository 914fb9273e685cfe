/** The public address ranges that Restricted servers may connect to: what a NetworkPolicy allows, and what it excepts. */
import { BlockList, isIPv6 } from 'node:net';

/** A range without the ranges in `except`. */
export interface AddressBlock {
  readonly cidr: string;
  readonly except: readonly string[];
}

// A NetworkPolicy can only allow, so what is not public is excepted: every range that the IANA registries of special-purpose
// addresses do not call globally reachable, and public addresses on which a cloud serves metadata.
const PUBLIC: readonly AddressBlock[] = [
  {
    cidr: '0.0.0.0/0',
    except: [
      '0.0.0.0/8',
      '10.0.0.0/8',
      // Carrier-grade NAT: pod networks, and the metadata service of Alibaba Cloud.
      '100.64.0.0/10',
      '127.0.0.0/8',
      // Azure's WireServer, which gives a node its certificates and bootstrap secrets.
      '168.63.129.16/32',
      // Link-local: the metadata services of most clouds, also for containers.
      '169.254.0.0/16',
      '172.16.0.0/12',
      // Protocol assignments; 192.0.0.192 is a metadata service of Oracle Cloud.
      '192.0.0.0/24',
      '192.0.2.0/24',
      // Relays of 6to4.
      '192.88.99.0/24',
      '192.168.0.0/16',
      '198.18.0.0/15',
      '198.51.100.0/24',
      '203.0.113.0/24',
      // Multicast and reserved. Pod networks use the reserved ones, too.
      '224.0.0.0/3',
    ],
  },
  {
    // Global unicast. So these are not reached: IPv4 addresses by NAT64 (64:ff9b::/96, 64:ff9b:1::/48) or in mapped and compatible
    // form, unique local, link-local and site-local addresses with the metadata services among them, and multicast.
    cidr: '2000::/3',
    except: [
      // Protocol assignments; Teredo, which has an IPv4 address inside, is 2001::/32.
      '2001::/23',
      '2001:db8::/32',
      // 6to4 has an IPv4 address inside.
      '2002::/16',
      '3fff::/20',
    ],
  },
];

/** All public addresses but those of the cluster. A range of the cluster that contains all of a family leaves nothing of it. */
export function publicBlocks(clusterCIDRs: readonly string[]): AddressBlock[] {
  return PUBLIC.flatMap(({ cidr, except }) => {
    if (clusterCIDRs.some((range) => containsRange(range, cidr))) return [];
    // The API server refuses a policy with an exception that is not inside its range.
    const inside = clusterCIDRs.filter((range) => containsRange(cidr, range) && !except.includes(range));
    return [{ cidr, except: [...except, ...inside] }];
  });
}

/** Whether all addresses of `inner` are in `outer`. */
function containsRange(outer: string, inner: string): boolean {
  const [outerNet = '', outerPrefix] = outer.split('/');
  const [innerNet = '', innerPrefix] = inner.split('/');
  // Node counts IPv4 addresses as part of ::/0, Kubernetes does not.
  if (isIPv6(outerNet) !== isIPv6(innerNet)) return false;
  const family = isIPv6(outerNet) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(outerNet, Number(outerPrefix), family);
  return Number(innerPrefix) >= Number(outerPrefix) && list.check(innerNet, family);
}
