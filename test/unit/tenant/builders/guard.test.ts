import { basename, dirname } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parseGuardOptions } from '../../../../src/commands/guard/options.ts';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { guardConfigMap } from '../../../../src/tenant/builders/guardconfigmap.ts';
import { persistentVolumeClaim } from '../../../../src/tenant/builders/persistentvolumeclaim.ts';
import { service } from '../../../../src/tenant/builders/service.ts';
import { sampleTenant, SHARED_STORAGE } from '../../../support/tenants.ts';

const tenant = sampleTenant(SHARED_STORAGE);
const render = (of = tenant, guard: string | null = 'example.com/operator:1') =>
  deployment(of, 1, {
    image: { image: 'example.com/copilot:1', isDefault: true, ...(guard !== null && { guard }) },
    running: true,
    credentialsHash: 'hash',
  });
const podOf = (...args: Parameters<typeof render>) => render(...args).spec?.template.spec;
const guardIn = (pod: ReturnType<typeof podOf>) => pod?.initContainers?.find(({ name }) => name === 'guard');
const serverIn = (pod: ReturnType<typeof podOf>) => pod?.containers.find(({ name }) => name === 'server');

describe('the pod of a server that shares its volume', () => {
  it('has a guard that starts before the server and stays beside it', () => {
    expect(guardIn(podOf())).toMatchObject({ restartPolicy: 'Always', image: 'example.com/operator:1' });
    expect(podOf()?.initContainers).toHaveLength(1);
  });

  it('has the guard started with the flags of its command', () => {
    const { args = [], env = [] } = guardIn(podOf()) ?? {};
    expect(env).toEqual([
      { name: 'POD_UID', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } },
    ]);
    const [command, ...flags] = args;
    expect(command).toBe('guard');
    expect(parseGuardOptions(flags, { POD_UID: 'uid-pod' })).toMatchObject({
      listenPort: 4321,
      server: { host: '127.0.0.1', port: 4322 },
      self: { tenant: 'team/acme', server: 'team/acme-1', pod: 'uid-pod' },
      healthPort: 4323,
    });
  });

  it('gives the guard every directory that its command uses', () => {
    const { args = [], volumeMounts = [] } = guardIn(podOf()) ?? {};
    const { stateDir, sessionsDir, keyFile } = parseGuardOptions(args.slice(1), { POD_UID: 'uid-pod' });
    const mounted = new Map(volumeMounts.map(({ mountPath, name }) => [mountPath, name]));
    const volumes = new Map(podOf()?.volumes?.map(({ name, ...source }) => [name, source]));
    const sourceOf = (path: string) => volumes.get(mounted.get(path) ?? '');
    expect(sourceOf(stateDir)).toHaveProperty('emptyDir');
    expect(sourceOf(sessionsDir)).toEqual({ persistentVolumeClaim: { claimName: 'acme-shared' } });
    const { data, metadata } = guardConfigMap(tenant, 'PEM');
    expect(sourceOf(dirname(keyFile))).toEqual({ configMap: { name: metadata.name } });
    expect(data).toEqual({ [basename(keyFile)]: 'PEM' });
  });

  it('has a server that only its guard reaches, and is probed through that', () => {
    const server = serverIn(podOf());
    expect(server?.args?.join(' ')).toContain('--host 127.0.0.1 --port 4322');
    for (const probe of [server?.startupProbe, server?.readinessProbe]) {
      expect(probe).toMatchObject({ httpGet: { path: '/readyz', port: 4323 } });
      expect(probe).not.toHaveProperty('tcpSocket');
    }
    const [port] = service(tenant, 1).spec?.ports ?? [];
    expect(server?.ports).toEqual([{ name: port?.targetPort, containerPort: port?.port, protocol: 'TCP' }]);
  });

  it('passes the Pod Security standard "restricted" with its guard', () => {
    expect(guardIn(podOf())?.securityContext).toEqual(serverIn(podOf())?.securityContext);
    expect(guardIn(podOf())?.resources).toMatchObject({ requests: {}, limits: {} });
  });

  it('keeps the image of its guard on record, because an upgrade of the operator replaces no server', () => {
    expect(render().metadata.annotations).toHaveProperty(
      ['copilot-operator.dev/guard-image'],
      'example.com/operator:1',
    );
  });

  it('mounts the one claim of all servers, which the tenant owns by the policy Delete', () => {
    expect(podOf()?.volumes).toContainEqual({ name: 'sessions', persistentVolumeClaim: { claimName: 'acme-shared' } });
    const kept = persistentVolumeClaim(tenant, 1);
    expect(kept).toEqual(persistentVolumeClaim(tenant, 0));
    expect(kept.spec?.accessModes).toEqual(['ReadWriteMany']);
    expect(kept.metadata).not.toHaveProperty('ownerReferences');
    expect(kept.metadata.labels).not.toHaveProperty(['copilot-operator.dev/server']);
    const storage = { ...SHARED_STORAGE.storage, reclaimPolicy: 'Delete' } as const;
    expect(
      persistentVolumeClaim(sampleTenant({ ...SHARED_STORAGE, storage }), 1).metadata.ownerReferences,
    ).toHaveLength(1);
  });
});

describe('the pod of any other server', () => {
  it('has no guard, and its own volume', () => {
    const pod = podOf(sampleTenant(), null);
    expect(pod).not.toHaveProperty('initContainers');
    expect(pod?.volumes?.map(({ name }) => name)).toEqual(['home', 'sessions', 'workspace', 'tmp']);
    expect(serverIn(pod)?.args?.join(' ')).toContain('--host 0.0.0.0 --port 4321');
  });
});
