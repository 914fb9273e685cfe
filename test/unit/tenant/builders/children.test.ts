import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { Secret } from '../../../../src/kube/builtins.ts';
import { isControlledBy } from '../../../../src/kube/owner.ts';
import { bindingSecret } from '../../../../src/tenant/builders/bindingsecret.ts';
import { networkPolicy } from '../../../../src/tenant/builders/networkpolicy.ts';
import { persistentVolumeClaim } from '../../../../src/tenant/builders/persistentvolumeclaim.ts';
import { podDisruptionBudget } from '../../../../src/tenant/builders/poddisruptionbudget.ts';
import { service } from '../../../../src/tenant/builders/service.ts';
import { serviceAccount } from '../../../../src/tenant/builders/serviceaccount.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { acme } from '../fixtures.ts';

const facts = {
  serverImage: 'example.com/copilot:1',
  namespace: 'operators',
  clusterCIDRs: ['203.0.113.0/24', '2001:db8::/32'],
};

const textOf = ({ data = {} }: Secret) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));

describe('the Service of a server', () => {
  it('leads to the pod of this server alone', () => {
    const labels = { 'copilot-operator.dev/tenant': 'acme', 'copilot-operator.dev/server': 'acme-1' };
    expect(service(acme(), 1)).toMatchObject({
      metadata: { name: 'acme-1' },
      spec: { selector: labels, ports: [{ port: 4321, targetPort: 'copilot' }] },
    });
  });
});

describe('the ServiceAccount of the servers', () => {
  it('has no token to give', () => {
    expect(serviceAccount(acme())).toMatchObject({
      metadata: { name: 'acme-servers' },
      automountServiceAccountToken: false,
    });
  });
});

describe('the PodDisruptionBudget of the servers', () => {
  it('lets a drain take one server at a time, and one that is broken always', () => {
    expect(podDisruptionBudget(acme()).spec).toMatchObject({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    });
  });
});

describe('the Secret with the connection token', () => {
  it('holds the token and nothing else', () => {
    expect(textOf(tokenSecret(acme(), 'tkn'))).toEqual({ token: 'tkn' });
  });
});

describe('the binding Secret', () => {
  const binding = (spec: CopilotTenantSpecInput = {}, providerApiKey?: string) =>
    bindingSecret(acme(spec), { token: 'tkn', providerApiKey });
  const provider = { baseUrl: 'https://models.example.com/v1', model: 'large' };

  it('is one of the Service Binding specification', () => {
    expect(binding()).toMatchObject({ metadata: { name: 'acme-binding' }, type: 'servicebinding.io/copilot' });
    expect(textOf(binding())).toEqual({
      type: 'copilot',
      provider: 'copilot-operator',
      host: 'acme-0.team.svc',
      port: '4321',
      uri: 'http://acme-0.team.svc:4321',
      token: 'tkn',
    });
  });

  it("has what a client needs to ask the tenant's own provider", () => {
    expect(textOf(binding({ model: { provider: { ...provider, headers: { 'X-Team': 'a' } } } }, 'key'))).toMatchObject({
      model: 'large',
      'model-provider-type': 'openai',
      'model-provider-wire-api': 'completions',
      'model-provider-base-url': 'https://models.example.com/v1',
      'model-provider-headers': '{"X-Team":"a"}',
      'model-provider-api-key': 'key',
    });
  });

  it('names no key for a provider that asks for none', () => {
    expect(Object.keys(textOf(binding({ model: { provider } })))).not.toContain('model-provider-api-key');
  });
});

describe('the claim of a server', () => {
  it('belongs to nobody with Retain, and to the tenant with Delete', () => {
    expect(persistentVolumeClaim(acme(), 0).metadata.ownerReferences).toBeUndefined();
    const tenant = acme({ storage: { reclaimPolicy: 'Delete' } });
    expect(isControlledBy(persistentVolumeClaim(tenant, 0), tenant)).toBe(true);
  });

  it('asks for the size of the spec, and never for less than it has', () => {
    const sizeOf = (size: string, live?: string) => {
      const tenant = acme({ storage: { size } });
      const found = live === undefined ? undefined : persistentVolumeClaim(acme({ storage: { size: live } }), 0);
      return persistentVolumeClaim(tenant, 0, found).spec?.resources?.requests?.['storage'];
    };
    expect(sizeOf('2Gi')).toBe('2Gi');
    expect(sizeOf('2Gi', '1Gi')).toBe('2Gi');
    expect(sizeOf('2Gi', '10Gi')).toBe('10Gi');
  });

  it('that was retained keeps the class and the access mode that it was made with', () => {
    const old = persistentVolumeClaim(
      acme({ storage: { storageClassName: 'slow', accessMode: 'ReadWriteOncePod' } }),
      0,
    );
    const taken = persistentVolumeClaim(acme({ storage: { storageClassName: 'fast' } }), 0, old);
    expect(taken.spec).toMatchObject({ storageClassName: 'slow', accessModes: ['ReadWriteOncePod'] });
  });

  it('names no class where the spec names none, so that the default of the cluster is not written a second time', () => {
    const live = { ...persistentVolumeClaim(acme(), 0) };
    live.spec = { ...live.spec, storageClassName: 'standard' };
    expect(persistentVolumeClaim(acme(), 0, live)).toEqual(persistentVolumeClaim(acme(), 0));
  });
});

describe('the NetworkPolicy of the servers', () => {
  const policy = (network: NonNullable<CopilotTenantSpecInput['network']> = {}) =>
    networkPolicy(acme({ network }), facts).spec;

  it.each(['Restricted', 'Open'] as const)(
    'with %s lets in the operator and pods that say they are clients',
    (mode) => {
      expect(policy({ policy: mode })?.ingress).toEqual([
        {
          from: [
            {
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'operators' } },
              podSelector: { matchLabels: { 'app.kubernetes.io/name': 'copilot-operator' } },
            },
            { podSelector: { matchLabels: { 'copilot-operator.dev/client-of': 'acme' } } },
          ],
          ports: [{ port: 4321, protocol: 'TCP' }],
        },
      ]);
    },
  );

  it('with Restricted lets out to DNS and public addresses: neither to a metadata service nor to this cluster', () => {
    const [dns, world, ...more] = policy()?.egress ?? [];
    expect(more).toEqual([]);
    expect(dns?.to).toBeUndefined();
    expect(dns?.ports?.map(({ port }) => port)).toEqual([53, 53, 5353, 5353]);
    const blocks = world?.to?.map(({ ipBlock }) => ipBlock) ?? [];
    expect(blocks.map((block) => block?.cidr)).toEqual(['0.0.0.0/0', '::/0']);
    const closed = blocks.flatMap((block) => block?.except ?? []);
    expect(closed).toEqual(expect.arrayContaining(['169.254.0.0/16', '10.0.0.0/8', 'fc00::/7', ...facts.clusterCIDRs]));
  });

  it('puts every closed range into the block of its own address family: the API server refuses anything else', () => {
    for (const { ipBlock } of policy()?.egress?.[1]?.to ?? []) {
      for (const closed of ipBlock?.except ?? []) expect(closed.includes(':')).toBe(ipBlock?.cidr.includes(':'));
    }
  });

  it('with Open lets out anywhere', () => {
    expect(policy({ policy: 'Open' })?.egress).toEqual([{}]);
  });

  it('adds what the spec allows', () => {
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': 'models' } };
    const ports = [{ protocol: 'TCP' as const, port: 8080 }];
    const egress = policy({
      egress: [
        { namespaceSelector, ports },
        { cidr: '10.1.0.0/16', except: ['10.1.2.0/24'] },
      ],
    })?.egress;
    expect(egress?.slice(2)).toEqual([
      { to: [{ namespaceSelector }], ports },
      { to: [{ ipBlock: { cidr: '10.1.0.0/16', except: ['10.1.2.0/24'] } }] },
    ]);
  });
});
