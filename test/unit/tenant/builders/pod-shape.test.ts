import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { Deployment, Service } from '../../../../src/kube/types/builtins.ts';
import { ipFamilyOf } from '../../../../src/tenant/builders/pod-template/listen-address.ts';
import { podTemplate } from '../../../../src/tenant/builders/pod-template/template.ts';
import { service } from '../../../../src/tenant/builders/service.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const facts = { image: { image: 'i', isDefault: false }, credentialsHash: 'hash' };
const podOf = (spec: CopilotTenantSpecInput, revision: number, ipFamily?: 'IPv4' | 'IPv6') => {
  const { spec: pod } = podTemplate(sampleTenant(spec), 3, { ...facts, ipFamily }, revision);
  if (pod === undefined) throw new Error('the template has no spec');
  return pod;
};
const sizesOf = (spec: CopilotTenantSpecInput, revision: number) =>
  Object.fromEntries(
    (podOf(spec, revision).volumes ?? []).flatMap(({ name, emptyDir }) =>
      emptyDir ? [[name, emptyDir.sizeLimit]] : [],
    ),
  );
const hostOf = (revision: number, family?: 'IPv4' | 'IPv6') => {
  const args = podOf({}, revision, family).containers[0]?.args ?? [];
  return args[args.indexOf('--host') + 1];
};

describe('the sizes of the volumes', () => {
  it('are larger from revision 2 on, unless the spec has some', () => {
    expect(sizesOf({}, 1)).toEqual({ home: '1Gi', 'copilot-home': '2Gi', workspace: '1Gi', tmp: '1Gi' });
    expect(sizesOf({}, 2)).toEqual({ home: '5Gi', workspace: '10Gi', tmp: '5Gi' });
  });

  it.each([1, 2])('are those of the spec in revision %i', (revision) => {
    const server = { home: { size: '2Gi' }, workspace: { size: '3Gi' }, tmp: { size: '4Gi' } };
    expect(sizesOf({ server }, revision)).toMatchObject({ home: '2Gi', workspace: '3Gi', tmp: '4Gi' });
  });

  it('hold for every mount: all volumes are mounted, and no directory twice', () => {
    for (const revision of [1, 2]) {
      const { containers, volumes = [] } = podOf({}, revision);
      const mounts = containers[0]?.volumeMounts ?? [];
      expect(new Set(mounts.map(({ name }) => name))).toEqual(new Set(volumes.map(({ name }) => name)));
      expect(new Set(mounts.map(({ name, subPath = '' }) => `${name}/${subPath}`)).size).toBe(mounts.length);
    }
  });
});

describe('the address that a server listens on', () => {
  const withFamilies = (ipFamilies?: ('IPv4' | 'IPv6')[]): Service => {
    const made = service(sampleTenant(), 0);
    return { ...made, spec: { ...made.spec, ...(ipFamilies && { ipFamilies }) } };
  };
  const listeningOn = (host: string): Deployment => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'acme-0' },
    spec: {
      selector: {},
      template: {
        spec: {
          containers: [
            { name: 'sidecar', args: ['::'] },
            { name: 'server', args: ['--host', host] },
          ],
        },
      },
    },
  });

  it.each([
    [1, 'IPv6', '0.0.0.0'],
    [2, 'IPv4', '0.0.0.0'],
    [2, undefined, '0.0.0.0'],
    [2, 'IPv6', '::'],
  ] as const)('in revision %i with %s is %s', (revision, family, host) => {
    expect(hostOf(revision, family)).toBe(host);
  });

  it.each([
    ["the first one of its Service's", withFamilies(['IPv6', 'IPv4']), undefined, 'IPv6'],
    ['also where IPv6 is the second', withFamilies(['IPv4', 'IPv6']), undefined, 'IPv4'],
    ["of its Service, whatever its Deployment's", withFamilies(['IPv4']), listeningOn('::'), 'IPv4'],
    ["of its Deployment's while the Service is missing", undefined, listeningOn('::'), 'IPv6'],
    ["of its Deployment's at 0.0.0.0", undefined, listeningOn('0.0.0.0'), 'IPv4'],
    ['IPv4 if nothing is known', withFamilies(), undefined, 'IPv4'],
  ] as const)('has the family %s', (_, found, live, family) => {
    expect(ipFamilyOf(found, live)).toBe(family);
  });
});

describe('the affinity of a server', () => {
  const itself = {
    labelSelector: { matchLabels: expect.objectContaining({ 'copilot-operator.dev/server': 'acme-3' }) },
    matchLabelKeys: ['pod-template-hash'],
    topologyKey: 'kubernetes.io/os',
  };

  it('keeps it from running beside itself, from revision 2 on', () => {
    expect(podOf({}, 1).affinity).toBeUndefined();
    expect(podOf({}, 2).affinity).toEqual({
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [itself] },
    });
  });

  it("is added to the tenant's own", () => {
    const term = { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'other' } } };
    const affinity = {
      nodeAffinity: {},
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] },
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [term],
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: term }],
      },
    };
    expect(podOf({ server: { affinity } }, 1).affinity).toEqual(affinity);
    expect(podOf({ server: { affinity } }, 2).affinity).toEqual({
      ...affinity,
      podAntiAffinity: {
        ...affinity.podAntiAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: [term, itself],
      },
    });
  });
});
