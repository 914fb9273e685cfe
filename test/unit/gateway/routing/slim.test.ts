import { describe, expect, it } from '@jest/globals';
import { Label } from '../../../../src/api/names.ts';
import { SERVER_PODS, slimPod, slimTenant, tenantKeyOf } from '../../../../src/gateway/routing/slim.ts';
import { serverLabels, tenantPods } from '../../../../src/resources/names.ts';
import { sampleTenant, serverPod } from '../../../support/tenants.ts';
import { FleetWorld, HASH } from './world.ts';

describe('what the gateway keeps', () => {
  it('of a tenant is who it is, its isolation, its access and the hashes', () => {
    const credentials = [{ sha256: HASH, since: '2026-01-02T03:04:05Z' }];
    const status = { access: 'Gateway', endpoint: 'x', binding: { name: 'acme-binding', credentials } } as const;
    const tenant = sampleTenant({}, { resourceVersion: '7', labels: { team: 'a' } }, status);
    const slim = slimTenant(tenant);
    expect(slim).toEqual({
      apiVersion: tenant.apiVersion,
      kind: tenant.kind,
      metadata: { name: 'acme', namespace: 'team', uid: 'uid-of-acme', resourceVersion: '7' },
      spec: { isolation: 'Dedicated' },
      status: { access: 'Gateway', binding: { credentials: [{ sha256: HASH }] } },
    });
  });

  it('of a tenant is its model, where its sessions get the login from the gateway', () => {
    const model = { github: { tokenSecretRef: { name: 'model', key: 'token' } }, injection: 'Gateway' } as const;
    const slim = (modelInjection: 'Gateway' | 'ServerEnv') =>
      slimTenant(sampleTenant({ model }, {}, { access: 'Gateway', modelInjection })).spec;
    expect(slim('Gateway')).toEqual({ isolation: 'Dedicated', model: { github: model.github } });
    expect(slim('ServerEnv')).toEqual({ isolation: 'Dedicated' });
  });

  it('of a pod is whose it is, where it is, and whether it serves', () => {
    const pod = new FleetWorld().pod();
    const slim = slimPod({ ...pod, spec: { containers: [{ name: 'server', image: 'i' }] } });
    expect(slim).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: pod.metadata.name,
        namespace: 'team',
        uid: pod.metadata.uid,
        labels: { [Label.tenant]: 'acme', [Label.server]: 'acme-0' },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'ReplicaSet',
            name: 'acme-0-5d8f7',
            uid: 'uid-of-acme-0-rs',
            controller: true,
          },
        ],
      },
      status: { phase: 'Running', podIP: '10.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
    });
    expect(tenantKeyOf(slim)).toBe('team/acme');
  });

  it('is chosen by a selector that every server pod has, and no cleanup pod', () => {
    const selected = (labels: Record<string, string>) =>
      SERVER_PODS.split(',').every((term) => {
        const [key = '', value] = term.split('=');
        return value === undefined ? labels[key] !== undefined : labels[key] === value;
      });
    expect(selected(serverLabels('acme', 0))).toBe(true);
    expect(selected(serverPod(sampleTenant(), 3).metadata.labels ?? {})).toBe(true);
    expect(selected({ ...tenantPods('acme'), [Label.component]: 'cleanup' })).toBe(false);
  });
});
