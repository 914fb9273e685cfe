import { describe, expect, it } from '@jest/globals';
import type { KubeClient } from '../../../src/kube/client/client.ts';
import type { Deployment, Pod, ReplicaSet } from '../../../src/kube/types/builtins.ts';
import { StatusError } from '../../../src/kube/types/errors.ts';
import { controllerRef } from '../../../src/kube/types/owner.ts';
import type { ServerWorld } from '../../../src/tenant/model.ts';
import { PodOwners } from '../../../src/tenant/pod-owners.ts';
import { servingPod } from '../../../src/tenant/pods.ts';
import { sampleTenant, serverPod } from '../../support/tenants.ts';
import { rolledOutDeployment } from './fixtures.ts';

const tenant = sampleTenant();
const made = rolledOutDeployment();
const deployment = (uid: string, resourceVersion = '1'): Deployment => ({
  ...made,
  metadata: { ...made.metadata, uid, resourceVersion },
});
const live = deployment('uid-of-deployment');
const replicaSet = (uid: string, owner: Deployment | undefined): ReplicaSet => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: 'acme-0-x', namespace: 'team', uid, ...(owner && { ownerReferences: [controllerRef(owner)] }) },
});
const podOf = (set: ReplicaSet | undefined, name: string, spec?: Pod['spec']): Pod => ({
  ...serverPod(tenant, 0, { name, uid: `uid-of-${name}`, ...(set && { ownerReferences: [controllerRef(set)] }) }),
  ...(spec && { spec }),
});

/** The reader, with the ReplicaSet and the pods that the API server has, and how often it was asked. */
function reader() {
  const found = replicaSet('uid-of-set', live) as ReplicaSet | undefined;
  const state = { found, pods: [] as Pod[], gets: 0, lists: 0, now: 0 };
  const client = {
    get: async () => {
      state.gets++;
      if (state.found === undefined)
        throw new StatusError({ method: 'GET', path: '/' }, { code: 404, reason: 'NotFound' });
      return state.found;
    },
    list: async (_type: unknown, { fieldSelector }: { fieldSelector: string }) => {
      state.lists++;
      return { items: state.pods.filter(({ metadata }) => fieldSelector === `metadata.name=${metadata.name}`) };
    },
  } as unknown as KubeClient;
  const owners = new PodOwners(client, { monotonic: () => state.now });
  const read = async (pods: readonly Pod[], of: Deployment | undefined = live): Promise<ServerWorld | undefined> => {
    const servers = new Map([[0, { index: 0, deployment: of, pods }]]);
    return (await owners.withLookAlikes(tenant, servers, new AbortController().signal)).get(0);
  };
  return { state, read };
}
const names = (pods: readonly Pod[] = []) => pods.map(({ metadata }) => metadata.name);

describe('the pods of a server', () => {
  const own = podOf(replicaSet('uid-of-set', live), 'own');

  it('are its own by their owners, which are read once', async () => {
    const { state, read } = reader();
    for (let count = 0; count < 3; count++) {
      const found = await read([own]);
      expect(found && servingPod(found)).toBe(own);
      expect(found?.lookAlikes).toBeUndefined();
      state.now += 1_000_000;
    }
    expect(state.gets).toBe(1);
  });

  it('do not include a pod with copied labels, although it is newer', async () => {
    const { state, read } = reader();
    const mimic = podOf(undefined, 'mimic');
    mimic.metadata.creationTimestamp = '2999-01-01T00:00:00Z';
    const found = await read([mimic, own]);
    expect(found && servingPod(found)).toBe(own);
    expect(names(found?.pods)).toEqual(['own']);
    expect(found?.lookAlikes).toMatchObject([{ pod: mimic, reason: 'Foreign' }]);
    expect(state.gets).toBe(1);
  });

  it('include a look-alike that mounts the volume, so that it is waited for, but it does not serve', async () => {
    const { read } = reader();
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'acme-0' } }];
    const found = await read([podOf(undefined, 'mimic', { containers: [], volumes })]);
    expect(names(found?.pods)).toEqual(['mimic']);
    expect(found && servingPod(found)).toBeUndefined();
  });

  it('include an orphan, whatever it mounts, because a second pod must not start beside it, but it does not serve', async () => {
    const { state, read } = reader();
    state.found = replicaSet('uid-of-set', undefined);
    const found = await read([own]);
    expect(names(found?.pods)).toEqual(['own']);
    expect(found && servingPod(found)).toBeUndefined();
  });

  it('are none while a forged pod has the UID of the ReplicaSet', async () => {
    const { read } = reader();
    const forged = podOf(replicaSet('uid-of-set', live), 'forged');
    const both = await read([own, forged]);
    expect(both && servingPod(both)).toBeUndefined();
    forged.metadata.deletionTimestamp = '2026-01-02T03:04:05Z';
    const one = await read([own, forged]);
    expect(one && servingPod(one)).toBe(own);
  });

  it.each(['deletionTimestamp', 'phase'])('that are ending need no owner: %s', async (how) => {
    const { state, read } = reader();
    const pod = podOf(undefined, 'mimic');
    if (how === 'phase') pod.status = { phase: 'Succeeded' };
    else pod.metadata.deletionTimestamp = '2026-01-02T03:04:05Z';
    expect((await read([pod]))?.lookAlikes).toBeUndefined();
    expect(state.gets).toBe(0);
  });

  it('are not those of a ReplicaSet that only has the name', async () => {
    const { state, read } = reader();
    state.found = replicaSet('uid-of-another-set', live);
    expect((await read([own]))?.lookAlikes).toMatchObject([{ reason: 'Temporary' }]);
  });

  it('are its own again once its Deployment has adopted the ReplicaSet', async () => {
    const { state, read } = reader();
    state.found = replicaSet('uid-of-set', undefined);
    const next = deployment('uid-of-the-next');
    expect((await read([own], next))?.lookAlikes).toMatchObject([{ reason: 'Temporary' }]);
    await read([own], next);
    expect(state.gets).toBe(1);
    state.found = replicaSet('uid-of-set', next);
    // The controller writes the status of the Deployment after the adoption.
    const found = await read([own], deployment('uid-of-the-next', '2'));
    expect(found && servingPod(found)).toBe(own);
    expect(state.gets).toBe(2);
  });

  it('are looked up again after half a minute, should no change have told', async () => {
    const { state, read } = reader();
    state.found = undefined;
    await read([own]);
    state.found = replicaSet('uid-of-set', live);
    state.now += 29_000;
    expect((await read([own]))?.lookAlikes).toHaveLength(1);
    state.now += 2_000;
    expect((await read([own]))?.lookAlikes).toBeUndefined();
  });

  it('that controllers do not sort out are overdue after a minute, and are not once they are their own again', async () => {
    const { state, read } = reader();
    const forged = podOf(replicaSet('uid-of-set', live), 'forged');
    state.pods = [own, forged];
    const overdue = async () => (await read([own, forged]))?.lookAlikes?.map(({ isOverdue }) => isOverdue);
    expect(await overdue()).toEqual([false, false]);
    state.now += 60_000;
    expect(await overdue()).toEqual([true, true]);
    await read([own]);
    expect(await overdue()).toEqual([false, true]);
  });

  it('are not those that the API server does not have any more, whatever an outdated cache shows', async () => {
    const { state, read } = reader();
    state.found = undefined;
    const left = podOf(replicaSet('uid-of-set', live), 'left');
    state.pods = [left];
    expect((await read([own, left]))?.lookAlikes).toHaveLength(2);
    // Controllers usually sort that out, so it is not read more often than it is reported.
    expect(state.lists).toBe(0);
    state.now += 60_000;
    const found = await read([own, left]);
    expect(found?.lookAlikes).toMatchObject([{ pod: left, isOverdue: true }]);
    expect(names(found?.pods)).toEqual(['left']);
    // Another one has its name by now.
    const another = podOf(undefined, 'left');
    state.pods = [{ ...another, metadata: { ...another.metadata, uid: 'uid-of-another' } }];
    expect(await read([own, left])).toMatchObject({ pods: [], lookAlikes: [] });
  });

  it('are read anew when another Deployment has the name', async () => {
    const { state, read } = reader();
    await read([own]);
    expect((await read([own], deployment('uid-of-the-next', '2')))?.lookAlikes).toMatchObject([
      { reason: 'Temporary' },
    ]);
    expect(state.gets).toBe(2);
  });
});
