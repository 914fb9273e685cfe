import { describe, expect, it } from '@jest/globals';
import { Annotation, Label } from '../../../../src/api/names.ts';
import {
  drainingKeys,
  SERVER_PODS,
  saidTo,
  sleepOf,
  slimPod,
  slimTenant,
  limitsOf,
  tenantKeyOf,
} from '../../../../src/gateway/routing/slim.ts';
import { serverLabels, tenantPods } from '../../../../src/resources/names.ts';
import { sampleTenant, serverPod } from '../../../support/tenants.ts';
import { FleetWorld, HASH } from './world.ts';

describe('what the gateway keeps', () => {
  it('of a tenant is who it is, its isolation, its limits, its access and the hashes', () => {
    const credentials = [{ sha256: HASH, since: '2026-01-02T03:04:05Z' }];
    const status = { access: 'Gateway', endpoint: 'x', binding: { name: 'acme-binding', credentials } } as const;
    const tenant = sampleTenant({}, { resourceVersion: '7', labels: { team: 'a' } }, status);
    const slim = slimTenant(tenant);
    expect(slim).toEqual({
      apiVersion: tenant.apiVersion,
      kind: tenant.kind,
      metadata: { name: 'acme', namespace: 'team', uid: 'uid-of-acme', resourceVersion: '7' },
      spec: { isolation: 'Dedicated', sessions: { permissionTimeout: '10m' } },
      status: { access: 'Gateway', binding: { credentials: [{ sha256: HASH }] } },
    });
  });

  it('of a tenant is where its sessions are made, and what becomes of calls while their server is away', () => {
    const spec = { placement: 'ByUser', sessions: { unavailable: 'Fail' } } as const;
    const slim = slimTenant(sampleTenant(spec)).spec;
    expect(slim).toMatchObject(spec);
    expect(limitsOf(slim?.sessions)).toMatchObject({ unavailable: 'Fail' });
  });

  it('of a tenant are its servers that have a volume', () => {
    const server = (name: string) => ({ name, state: 'Healthy', restarts: 0, message: 'm' }) as const;
    const servers = [{ ...server('acme-0'), volumeUID: 'v' }, server('acme-1')];
    expect(slimTenant(sampleTenant({}, {}, { servers })).status).toEqual({
      servers: [{ name: 'acme-0', volumeUID: 'v' }],
    });
  });

  it('of a tenant are the annotations that say something to the gateway, and no others', () => {
    const annotations = { [Annotation.gatewayPaused]: 'true', [Annotation.gatewayKick]: '7', team: 'a' };
    const { metadata } = slimTenant(sampleTenant({}, { annotations }));
    expect(metadata.annotations).toEqual({ [Annotation.gatewayPaused]: 'true', [Annotation.gatewayKick]: '7' });
    expect(saidTo(metadata)).toEqual({ isPaused: true, kick: '7' });
    expect(saidTo({ name: 'acme', annotations: { [Annotation.gatewayPaused]: 'false' } })).toEqual({});
  });

  it('of a tenant is its model, where its sessions get the login from the gateway', () => {
    const model = { github: { tokenSecretRef: { name: 'model', key: 'token' } }, injection: 'Gateway' } as const;
    const slim = (modelInjection: 'Gateway' | 'ServerEnv') =>
      slimTenant(sampleTenant({ model }, {}, { access: 'Gateway', modelInjection })).spec;
    expect(slim('Gateway')).toMatchObject({ model: { github: model.github } });
    expect(slim('ServerEnv')).not.toHaveProperty('model');
  });

  it('of a tenant is after how long it sleeps, and how long it may take to wake', () => {
    const hibernation = { phase: 'Stopped', epoch: 3, since: '2026-01-02T03:04:05Z' } as const;
    const spec = { hibernation: { afterIdle: '15m', wakeTimeout: '10m' } };
    const slim = (access: 'Gateway' | 'Direct') => sleepOf(slimTenant(sampleTenant(spec, {}, { access, hibernation })));
    const sleep = { afterIdleMs: 900_000, wakeTimeoutMs: 600_000, phase: 'Stopped', epoch: 3 };
    expect([slim('Gateway'), slim('Direct')]).toEqual([sleep, undefined]);
  });

  it('of a tenant are its servers that drain, without what changes meanwhile', () => {
    const [since, deadline] = ['2026-01-02T03:04:05Z', '2026-01-02T03:09:05Z'];
    const drain = { epoch: 3, reason: 'Updating', podUID: 'u', since, deadline } as const;
    const servers = [
      { name: 'acme-0', state: 'Healthy', restarts: 0 } as const,
      {
        name: 'acme-1',
        state: 'Draining',
        restarts: 0,
        drain: { ...drain, turns: 2 },
      } as const,
    ];
    const slim = slimTenant(sampleTenant({}, {}, { access: 'Gateway', servers }));
    expect(slim.status).toEqual({ access: 'Gateway', servers: [{ name: 'acme-1', drain }] });
    expect([slim, slimTenant(sampleTenant())].map(drainingKeys)).toEqual([['draining'], []]);
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
