// Terminating namespaces: one is deleted with its tenants and sessions, and one that cannot be deleted is reported by the tenant in
// it, without load on the operator or the API server.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Pod } from '../../../src/kube/types/builtins.ts';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { ignoreNotFound } from '../../../src/kube/types/not-found.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { auditMark, isWrite, recordsSince } from '../../support/audit.ts';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

/** For how long writes are counted, in ms: an endless retry would write many times. */
const COUNTED_MS = 10_000;

describe('a tenant in a namespace that is being deleted', () => {
  let namespace: TestNamespace;
  let operator: OperatorProcess;
  let bystander: Bystander;
  /** The namespace whose deletion is blocked at first. */
  let going: string;
  /** One that is deleted with sessions in it. */
  let talking: TestNamespace;

  beforeAll(async () => {
    [namespace, talking] = await Promise.all([TestNamespace.open(), TestNamespace.open()]);
    going = `${namespace.name}-going`;
    await namespace.kubectl.ok(['create', 'namespace', going]);
    await grantOperator();
    operator = await namespace.startOperator({
      args: [`--watch-namespaces=${namespace.name},${going},${talking.name}`],
    });
    bystander = await Bystander.start(namespace);
  });
  afterAll(async () => {
    await protect(false);
    await namespace.kubectl.ok(['delete', 'namespace', going, '--ignore-not-found', '--timeout=90s']);
    await talking.close();
    for (const kind of ['clusterrolebinding', 'clusterrole']) {
      await namespace.kubectl.ok(['delete', kind, going, '--ignore-not-found']);
    }
    await namespace.close();
  });

  /** The operator has the same permissions there as in its own namespace, by objects outside the namespace. */
  async function grantOperator(): Promise<void> {
    const found = await namespace.kubectl.ok(['get', 'role', '-n', namespace.name, '-o', 'json']);
    const { items } = JSON.parse(found) as { items: { rules: object[] }[] };
    const [apiVersion, metadata] = ['rbac.authorization.k8s.io/v1', { name: going }];
    const rules = items.flatMap((role) => role.rules);
    await namespace.kubectl.ok(['create', '-f', '-'], { apiVersion, kind: 'ClusterRole', metadata, rules });
    await namespace.kubectl.ok(['create', '-f', '-'], {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: going },
      subjects: [{ kind: 'ServiceAccount', name: 'copilot-operator', namespace: namespace.name }],
    });
  }

  /** An admission policy that denies the deletion of tenants there: so the namespace stays, with a tenant and without its children. */
  async function protect(isProtected: boolean): Promise<void> {
    const kinds = ['validatingadmissionpolicybinding', 'validatingadmissionpolicy'];
    if (isProtected) {
      const apiVersion = 'admissionregistration.k8s.io/v1';
      const rule = { apiGroups: ['copilot-operator.dev'], apiVersions: ['*'], operations: ['DELETE'] };
      const matchConstraints = {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': going } },
        resourceRules: [{ ...rule, resources: ['copilottenants'] }],
      };
      await namespace.kubectl.ok(['create', '-f', '-'], {
        apiVersion,
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name: going },
        spec: { matchConstraints, validations: [{ expression: 'false', message: 'tenants are kept here' }] },
      });
      await namespace.kubectl.ok(['create', '-f', '-'], {
        apiVersion,
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name: going },
        spec: { policyName: going, validationActions: ['Deny'] },
      });
    } else {
      for (const kind of kinds) await namespace.kubectl.ok(['delete', kind, going, '--ignore-not-found']);
    }
    const args = ['delete', 'ct', 'held', '-n', going, '--dry-run=server', '--ignore-not-found'];
    const isInForce = async () => (await namespace.kubectl.try(args)).stderr.includes('tenants are kept here');
    await waitFor(
      `the policy is ${isProtected ? '' : 'no longer '}in force`,
      async () => (await isInForce()) === isProtected,
      { withinMs: 30_000, everyMs: 500 },
    );
  }

  const held = () => namespace.client.get(CopilotTenant, { namespace: going, name: 'held' });
  const condition = async (type: string) => findCondition((await held()).status?.conditions, type);

  it('reports that, is retried with back-off, and is deleted with the namespace once that is possible', async () => {
    await namespace.kubectl.ok(['create', '-f', '-'], {
      apiVersion: 'copilot-operator.dev/v1alpha1',
      kind: 'CopilotTenant',
      metadata: { name: 'held', namespace: going },
      spec: { server: { binary: 'runtime' } },
    });
    const isReady = async () => (await condition('Ready'))?.status === 'True';
    await waitFor('the tenant is Ready', isReady, { withinMs: READY_MS, everyMs: 200 });
    await protect(true);
    await namespace.kubectl.ok(['delete', 'namespace', going, '--wait=false']);

    // Ready follows when the pod is gone, if what could not be created was no part of its server.
    const reported = await waitFor(
      'the tenant reports that, and is not Ready because of it',
      async () => {
        const { status } = await held();
        const [stalled, ready] = ['Stalled', 'Ready'].map((type) => findCondition(status?.conditions, type));
        const reasons = [stalled, ready].map((found) => found?.reason);
        return reasons.every((reason) => reason === 'NamespaceTerminating') ? { stalled, ready } : undefined;
      },
      { withinMs: 60_000, everyMs: 100 },
    );
    expect(reported).toMatchObject({ stalled: { status: 'True' }, ready: { status: 'False' } });
    expect(reported.stalled?.message).toContain(
      'cannot be created: the namespace is being deleted, and the tenant with it.',
    );

    // Its children are deleted one after another, and each deletion requeues it; then there is nothing left to report.
    const user = `system:serviceaccount:${namespace.name}:copilot-operator`;
    const writes = await waitFor(
      'its children are gone, and nothing is written any more',
      async () => {
        const { items } = await namespace.client.list(Pod, { namespace: going });
        if (items.length > 0) return undefined;
        const mark = auditMark();
        await sleep(COUNTED_MS);
        const writes = recordsSince(mark, going).filter((record) => record.user === user && isWrite(record));
        return writes.some(({ code }) => code >= 200 && code < 300) ? undefined : writes;
      },
      { withinMs: 60_000, everyMs: 500 },
    );
    // A reconcile tries each child once, and at most two fit: one after the last deletion, and a poll.
    const services = writes.filter(({ resource }) => resource === 'services');
    expect(services.length).toBeLessThanOrEqual(2);
    await bystander.expectUntouched();

    await protect(false);
    const isGone = async () =>
      (await ignoreNotFound(held())) === undefined &&
      (await namespace.kubectl.try(['get', 'namespace', going])).code !== 0;
    await waitFor('the namespace is gone', isGone, { withinMs: 90_000, everyMs: 500 });
    await bystander.expectUntouched();
    expect(operator.errors().map(({ msg, err }) => `${msg}: ${err?.message}`)).toEqual([]);
  });

  it('is deleted with its sessions, whose finalizers do not block it', async () => {
    await talking.createTenant('chatty', { server: { binary: 'runtime' }, ...askingTestModel(talking.name) });
    await ModelInCluster.start(talking);
    await talking.waitForReady('chatty');
    for (const name of ['used', 'unused', 'stray']) {
      await talking.createSession(name, name === 'stray' ? 'missing' : 'chatty');
    }
    await say(talking, 'chatty', { prompt: 'Hello', sessionId: 'used' });
    await talking.waitForPhase('used', 'Idle');
    await talking.waitForPhase('unused', 'Pending');
    await talking.waitForSession('stray', 'is Stalled', (session) => conditionOf(session, 'Stalled').status === 'True');
    expect(await talking.exec('chatty-0', 'ls', SESSIONS)).toContain('used');
    for (const { metadata } of await talking.list(CopilotSession)) expect(metadata.finalizers).toHaveLength(1);

    // A server has 30 seconds to stop, and its volume is deleted after it.
    await namespace.kubectl.ok(['delete', 'namespace', talking.name, '--timeout=60s']);
    await bystander.expectUntouched();
    expect(operator.errors().map(({ msg, err }) => `${msg}: ${err?.message}`)).toEqual([]);
  });
});
