/**
 * Where a tenant's servers may connect to, and how: narrower than a NetworkPolicy, so that mistakes are rejected at admission.
 */
import { z } from 'zod';
import { atomicList, objectName, withRules } from './fields.ts';
import { labelSelector } from './scheduling.ts';

const port = withRules(
  z.object({
    protocol: z.enum(['TCP', 'UDP', 'SCTP']).exactOptional().describe('Protocol of the port. Default: TCP.'),
    port: z.int().min(1).max(65535).describe('Port number, or the first of a range.'),
    endPort: z.int().min(1).max(65535).exactOptional().describe('Last port of a range that begins at `port`.'),
  }),
  {
    rule: '!has(self.endPort) || self.endPort >= self.port',
    message: 'spec.network.egress: endPort must not be below port',
    fieldPath: '.endPort',
  },
);

const cidr = () =>
  withRules(z.string().max(43), {
    rule: 'isCIDR(self) && cidr(self) == cidr(self).masked()',
    message:
      'spec.network.egress: an address range must have a form such as 10.20.0.0/16 or fd00::/8, with all bits after the prefix zero',
  });

/** One entry of `spec.network.egress`: a NetworkPolicyEgressRule for one kind of destination. */
const egressRule = withRules(
  z.object({
    cidr: cidr().exactOptional().describe('Allowed address range.'),
    except: atomicList(cidr(), 16).exactOptional().describe('Parts of `cidr` that are not allowed.'),
    namespaceSelector: labelSelector
      .exactOptional()
      .describe('Namespaces whose pods are allowed. Default: the namespace of the tenant.'),
    podSelector: labelSelector.exactOptional().describe('Allowed pods. Default: all pods of the selected namespaces.'),
    ports: atomicList(port, 16).exactOptional().describe('Allowed ports there. Default: all.'),
  }),
  {
    rule: 'has(self.cidr) != (has(self.namespaceSelector) || has(self.podSelector))',
    message: 'spec.network.egress: a rule must have either cidr, or namespaceSelector and podSelector',
  },
  {
    rule: '!has(self.except) || (has(self.cidr) && self.except.all(e, !isCIDR(e) || !isCIDR(self.cidr) || cidr(self.cidr).containsCIDR(e)))',
    message: 'spec.network.egress: except must lie inside cidr',
    fieldPath: '.except',
  },
);

const proxyUrl = (use: string) =>
  withRules(
    z
      .string()
      .max(1024)
      .regex(/^https?:\/\/[^\s/]+\/?$/),
    {
      rule: "!self.matches('://[^/@]*:[^/@$]+@')",
      message:
        'spec.network.proxy: a password must not be in the address, where everyone who may read tenants sees it: set a variable from a Secret in spec.server.env, and write $(NAME) here',
    },
  )
    .exactOptional()
    .describe(use);

const proxy = withRules(
  z.object({
    httpProxy: proxyUrl('Proxy for http addresses, such as http://proxy.example.com:3128.'),
    httpsProxy: proxyUrl(
      'Proxy for https addresses, such as http://proxy.example.com:3128. For a proxy that requires a login: http://$(PROXY_LOGIN)@proxy.example.com:3128, with a variable PROXY_LOGIN from a Secret in spec.server.env.',
    ),
    noProxy: atomicList(
      z
        .string()
        .min(1)
        .max(253)
        .regex(/^[^\s,]+$/),
      64,
    )
      .exactOptional()
      .describe(
        'Further hosts that are connected to directly: names, which include their subdomains, addresses, and ranges such as 10.0.0.0/8. The loopback, .svc and .cluster.local are always among them.',
      ),
  }),
  {
    rule: 'has(self.httpProxy) || has(self.httpsProxy)',
    message: 'spec.network.proxy must have httpProxy or httpsProxy',
  },
);

const caBundle = z.object({
  configMapKeyRef: z
    .object({
      name: objectName().describe('Name of the ConfigMap, in the namespace of the tenant.'),
      key: z
        .string()
        .min(1)
        .max(253)
        .regex(/^[-._a-zA-Z0-9]+$/)
        .default('ca.crt')
        .describe('Key in the ConfigMap.'),
    })
    .describe('ConfigMap key with the certificates in PEM. A change of it replaces the servers one at a time.'),
});

/** `spec.network`. */
export const network = withRules(
  z.object({
    policy: z
      .enum(['Restricted', 'AllowList', 'Open'])
      .default('Restricted')
      .describe(
        "Where the servers may connect to. Restricted: the cluster's DNS, public addresses, and what `egress` adds; not the cluster's own and other private networks, nor a cloud's metadata service. AllowList: the cluster's DNS and what `egress` adds only. Open: anywhere. In all cases only the operator, the tenant's own cleanup, and pods of the same namespace with the label copilot-operator.dev/client-of: <tenant> can connect to the servers. All of this takes effect only in a cluster whose network plugin enforces NetworkPolicies: the API server accepts them in any cluster, and the operator can't tell whether they are enforced.",
      ),
    egress: atomicList(egressRule, 32)
      .exactOptional()
      .describe(
        'Further destinations of the servers, such as a model provider inside the cluster. With the policies Restricted and AllowList.',
      ),
    proxy: proxy
      .exactOptional()
      .describe(
        'Proxy through which the servers and the commands of their agents reach other hosts. The NetworkPolicy must allow it: a proxy in a private network needs an entry in `egress`. A change replaces the servers one at a time.',
      ),
    caBundle: caBundle
      .exactOptional()
      .describe(
        'Certificate authorities that the servers trust besides those of their image, such as that of a proxy that inspects TLS.',
      ),
  }),
  {
    rule: "self.policy != 'Open' || !has(self.egress) || self.egress.size() == 0",
    message: 'spec.network.egress has no effect with policy Open: remove it, or set policy Restricted or AllowList',
    fieldPath: '.egress',
  },
);
