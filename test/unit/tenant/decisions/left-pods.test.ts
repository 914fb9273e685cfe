import { describe, expect, it } from '@jest/globals';
import type { ReplicaSet } from '../../../../src/kube/types/builtins.ts';
import type { ObjectMeta, OwnerReference } from '../../../../src/kube/types/types.ts';
import { serverLabels, serverPods } from '../../../../src/resources/names.ts';
import { defaultImageOf, restartOf } from '../../../../src/tenant/deployments.ts';
import { deletedDeployment, leftPods } from '../../../../src/tenant/decisions/left-pods.ts';
import { pod, rolledOutDeployment } from '../fixtures.ts';

const labels = serverPods('acme', 0);
const reference = (kind: string, uid: string): OwnerReference => ({
  apiVersion: 'apps/v1',
  kind,
  name: uid,
  uid,
  controller: true,
});

function replicaSet(uid: string, metadata: Partial<ObjectMeta> = {}): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: uid, namespace: 'team', uid, labels: serverLabels('acme', 0), ...metadata },
    spec: { replicas: 1, selector: {}, template: rolledOutDeployment().spec?.template ?? {} },
  };
}

const podOf = (uid: string, metadata: Partial<ObjectMeta> = {}) =>
  pod({}, { ownerReferences: [reference('ReplicaSet', uid)], ...metadata });
const decide = (pods: ReturnType<typeof pod>[], replicaSets: ReplicaSet[] = []) =>
  leftPods({ pods, replicaSets, labels });
const terminating = { deletionTimestamp: '2026-01-02T03:00:00Z' };

describe('the pods of a server whose Deployment is gone', () => {
  it('are none, or have ended: the server starts', () => {
    expect(decide([]).action).toBe('start');
    expect(decide([{ ...podOf('a'), status: { phase: 'Failed' } }]).action).toBe('start');
  });

  it('run under an orphaned ReplicaSet: a new Deployment takes it over', () => {
    const orphan = replicaSet('a');
    expect(decide([podOf('a')], [orphan])).toMatchObject({ action: 'adopt', replicaSet: orphan });
  });

  it('run under two, in the middle of a rollout: the template is that of the newer one', () => {
    const older = replicaSet('b', { creationTimestamp: '2026-01-01T00:00:00Z' });
    const newer = replicaSet('a', { creationTimestamp: '2026-01-02T00:00:00Z' });
    expect(decide([podOf('a'), podOf('b')], [newer, older])).toMatchObject({ replicaSet: newer });
  });

  it.each([
    [
      'its ReplicaSet still names the deleted Deployment',
      [replicaSet('a', { ownerReferences: [reference('Deployment', 'd')] })],
    ],
    ['its ReplicaSet is gone', []],
    ['its ReplicaSet was created again under its name', [replicaSet('other', { name: 'a' })]],
    ['its ReplicaSet is being deleted', [replicaSet('a', terminating)]],
    ['no selector matches its ReplicaSet', [replicaSet('a', { labels: {} })]],
  ])('are waited for when %s: another pod must not start beside it', (_, found) => {
    expect(decide([podOf('a')], found)).toMatchObject({ action: 'wait', pod: 'acme-0-5d8f7-x2v9k' });
  });

  it('are waited for when only one of two is under an orphaned ReplicaSet', () => {
    expect(decide([podOf('a'), podOf('b')], [replicaSet('a')]).action).toBe('wait');
  });

  it('have no controller: nothing stops them, so a user has to', () => {
    const found = decide([pod()]);
    expect(found).toMatchObject({ action: 'refuse', cause: { reason: 'ForeignObject' } });
    expect(JSON.stringify(found)).toContain('kubectl delete pod acme-0-5d8f7-x2v9k');
    expect(decide([pod({}, terminating)]).action).toBe('wait');
  });
});

describe('the deleted Deployment', () => {
  it('is known from its ReplicaSet: default image and last restart', () => {
    const made = rolledOutDeployment({
      image: 'example.com/copilot:old',
      restart: { at: '2026-01-02T03:00:00Z', attempt: 2 },
    });
    const found = deletedDeployment({
      ...replicaSet('a', { annotations: made.metadata.annotations ?? {} }),
      spec: { replicas: 1, selector: {}, template: made.spec?.template ?? {} },
    });
    expect(defaultImageOf(found)).toBe('example.com/copilot:old');
    expect(restartOf(found)).toEqual({ at: '2026-01-02T03:00:00Z', attempt: 2 });
    expect(found.spec?.replicas).toBe(1);
  });
});
