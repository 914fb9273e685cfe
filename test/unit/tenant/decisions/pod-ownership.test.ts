import { describe, expect, it } from '@jest/globals';
import type { Deployment } from '../../../../src/kube/types/builtins.ts';
import { controllerRef } from '../../../../src/kube/types/owner.ts';
import type { OwnerReference } from '../../../../src/kube/types/types.ts';
import { lookAlikeCause, type OwnershipInput, podOwnership } from '../../../../src/tenant/decisions/pod-ownership.ts';
import { blocksServing } from '../../../../src/tenant/decisions/serving-impact.ts';
import { sampleTenant, serverPod } from '../../../support/tenants.ts';
import { rolledOutDeployment } from '../fixtures.ts';

const tenant = sampleTenant();
const made = rolledOutDeployment();
const live: Deployment = { ...made, metadata: { ...made.metadata, uid: 'uid-of-deployment' } };
const scaledTo = (replicas: number): Deployment => {
  if (live.spec === undefined) throw new Error('the Deployment has no spec');
  return { ...live, spec: { ...live.spec, replicas } };
};
const reference = (kind: string, name: string, uid: string, apiVersion = 'apps/v1'): OwnerReference =>
  controllerRef({ apiVersion, kind, metadata: { name, uid } });
const ofReplicaSet = reference('ReplicaSet', 'acme-0-5d8f7', 'uid-of-set');
const podOf = (controller: OwnerReference | undefined) =>
  serverPod(tenant, 0, { name: 'mimic', ...(controller && { ownerReferences: [controller] }) });
const ownership = (found: Partial<OwnershipInput> = {}) =>
  podOwnership({
    tenant,
    server: 'acme-0',
    deployment: live,
    pod: podOf(ofReplicaSet),
    replicaSet: { controller: reference('Deployment', 'acme-0', 'uid-of-deployment') },
    alive: 1,
    ...found,
  });

describe('a pod with the labels of a server', () => {
  it('is its own if its owners lead to the tenant', () => {
    expect(ownership().reason).toBe('Own');
  });

  it.each<[string, Partial<OwnershipInput>]>([
    ['has no controller', { pod: podOf(undefined), replicaSet: undefined }],
    ['is controlled by a Job', { pod: podOf(reference('Job', 'batch', 'u', 'batch/v1')), replicaSet: undefined }],
    [
      'is controlled by a ReplicaSet of another API group',
      { pod: podOf(reference('ReplicaSet', 'x', 'u', 'example.com/v1')), replicaSet: undefined },
    ],
    [
      'is controlled by the ReplicaSet of another Deployment',
      { replicaSet: { controller: reference('Deployment', 'mimic', 'uid-of-mimic') } },
    ],
    [
      'is controlled by the ReplicaSet of another kind of the same name',
      { replicaSet: { controller: reference('Rollout', 'acme-0', 'u', 'argoproj.io/v1alpha1') } },
    ],
  ])('is foreign if it %s', (_, found) => {
    expect(ownership(found).reason).toBe('Foreign');
  });

  it.each<[string, Partial<OwnershipInput>]>([
    ['names a ReplicaSet that does not exist', { replicaSet: undefined }],
    ['belongs to a ReplicaSet without a controller', { replicaSet: { controller: undefined } }],
    [
      'belongs to a previous Deployment of the name',
      { replicaSet: { controller: reference('Deployment', 'acme-0', 'uid-of-the-previous') } },
    ],
    ['has no Deployment', { deployment: undefined }],
    ['belongs to a Deployment that the tenant does not control', { tenant: sampleTenant({}, { uid: 'other' }) }],
    ['is one of two of its ReplicaSet', { alive: 2 }],
    ['is one of three after a user scaled its Deployment to two', { deployment: scaledTo(2), alive: 3 }],
  ])('is not its own, for now, if it %s', (_, found) => {
    expect(ownership(found).reason).toBe('Temporary');
  });

  it.each([0, 1])('is its own while its Deployment is scaled to %i', (replicas) => {
    expect(ownership({ deployment: scaledTo(replicas) }).reason).toBe('Own');
  });
});

describe('the cause of pods that only look like a server’s', () => {
  const lookAlike = (name: string, reason: 'Foreign' | 'Temporary' = 'Foreign') => ({
    pod: serverPod(tenant, 0, { name }),
    reason,
    message: 'it has no controller',
  });

  it('names pod, server and remedy', () => {
    const cause = lookAlikeCause('acme', 'acme-0', [lookAlike('mimic')]);
    expect(cause?.reason).toBe('LookAlikePod');
    expect(cause?.message).toBe(
      'Pod mimic (it has no controller) carries the labels of server acme-0 and is not its own. ' +
        'The operator does not connect to it, but Service acme-0 may send clients to it, with the connection token. ' +
        'Delete the pod or remove its label copilot-operator.dev/server; then replace the token with kubectl delete secret acme-token.',
    );
  });

  it('names a few of many', () => {
    const cause = lookAlikeCause(
      'acme',
      'acme-0',
      ['a', 'b', 'c', 'd', 'e'].map((name) => lookAlike(name)),
    );
    expect(cause?.message).toContain('Pod c (it has no controller), 2 more carries');
  });

  it('does not keep the server from serving', () => {
    const cause = lookAlikeCause('acme', 'acme-0', [lookAlike('mimic')]);
    expect(cause && blocksServing(cause)).toBe(false);
  });

  it('is not there for pods that controllers are about to delete or adopt, unless they do not', () => {
    const orphan = lookAlike('orphan', 'Temporary');
    expect(lookAlikeCause('acme', 'acme-0', [orphan])).toBeUndefined();
    expect(lookAlikeCause('acme', 'acme-0', [{ ...orphan, isOverdue: true }])?.message).toContain('Pod orphan');
  });
});
