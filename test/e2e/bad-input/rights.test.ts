// Permissions that the operator loses in one of the namespaces that it watches, and a namespace that is deleted.
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { SESSION_DATA_FINALIZER } from '../../../src/api/names.ts';
import { TENANT_TERMINATING_DEADLINE_MS } from '../../../src/session/decisions/removal.ts';
import { Bystander } from '../../support/bystander.ts';
import { CHART, helm, objectsOf, REQUIRED_VALUES, type PolicyRule, type Rendered } from '../../support/chart.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const light = { server: { binary: 'runtime' as const } };
const ROLE = 'copilot-operator-tenants';

describe('permissions that the operator loses in one of its namespaces', () => {
  let home: TestNamespace;
  let away: TestNamespace;
  let passing: TestNamespace;
  let atHome: Bystander;
  let granted: PolicyRule[];
  let rights: { apiVersion: string; kind: string; items: Rendered[] };
  let operator: OperatorProcess;

  const startOperator = async (): Promise<void> => {
    operator = await home.startOperator({
      args: [`--watch-namespaces=${home.name},${away.name},${passing.name}`],
    });
  };
  const restartOperator = async (): Promise<void> => {
    await operator.stop();
    await startOperator();
  };

  const setRules = async (rules: PolicyRule[]): Promise<void> => {
    const patch = JSON.stringify([{ op: 'replace', path: '/rules', value: rules }]);
    await away.kubectl.ok(['patch', 'role', ROLE, '-n', away.name, '--type=json', '-p', patch]);
  };
  /** Removes verbs on a resource from the operator's permissions in the one namespace. */
  const revoke = (resource: string, ...verbs: string[]) =>
    setRules(
      granted.flatMap((rule) => {
        if (!rule.resources.includes(resource)) return [rule];
        const left = rule.verbs.filter((verb) => !verbs.includes(verb));
        return left.length > 0 ? [{ ...rule, verbs: left }] : [];
      }),
    );
  const restore = () => setRules(granted);
  const expectOthersServed = async (tenant: string): Promise<void> => {
    await home.createTenant(tenant, light);
    await home.waitForReady(tenant);
    await home.deleteTenant(tenant);
    await atHome.expectUntouched();
  };

  beforeAll(async () => {
    [home, away, passing] = [await TestNamespace.open(), await TestNamespace.open(), await TestNamespace.open()];
    const watchNamespaces = [home.name, away.name, passing.name];
    const values = { ...REQUIRED_VALUES, watchNamespaces, rbac: { aggregate: false } };
    const template = ['template', 'copilot-operator', CHART, '--namespace', home.name];
    const items = objectsOf(await helm([...template, '--show-only', 'templates/rbac.yaml'], values)).filter(
      ({ metadata }) => metadata.namespace !== home.name,
    );
    granted = items.find(({ kind, metadata }) => kind === 'Role' && metadata.name === ROLE)?.rules ?? [];
    rights = { apiVersion: 'v1', kind: 'List', items };
    await home.kubectl.ok(['apply', '-f', '-'], rights);
    await startOperator();
    atHome = await Bystander.start(home);
  });
  afterEach(restore);
  afterAll(async () => {
    await passing.close();
    await away.close();
    await home.close();
    // What is no namespace's.
    await home.kubectl.ok(['delete', '--ignore-not-found', '-f', '-'], rights);
  });

  it('a child that it may not create any more is reported, and all others are served', async () => {
    const awayToo = await Bystander.start(away);
    await revoke('services', 'create');
    await away.createTenant('newcomer', light);
    await expectStalled(away, 'newcomer', 'Forbidden', [
      'Service newcomer-0',
      'cannot create resource "services"',
      'Compare its RBAC rules with those of the chart',
    ]);
    await expectOthersServed('meanwhile');
    await awayToo.expectUntouched();
    await restore();
    await expectRecovered(away, 'newcomer');
    await away.deleteTenant('newcomer');
  });

  it('a Secret that it may not read any more is reported, and its server keeps running', async () => {
    await away.createTenant('unread', light);
    await away.waitForReady('unread');
    const [pod] = await away.pods('unread');
    await revoke('secrets', 'get');
    await expectStalled(away, 'unread', 'Forbidden', ['Secret unread-token', 'it lacks the verb get on secrets']);
    await expectOthersServed('meanwhile');
    await restore();
    await expectRecovered(away, 'unread');
    expect((await away.pods('unread')).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
    await away.deleteTenant('unread');
  });

  it('pods that it may not list any more are reported, also by an operator that starts then, and no server is changed', async () => {
    await away.createTenant('unseen', light);
    await away.waitForReady('unseen');
    const [pod] = await away.pods('unseen');
    await revoke('pods', 'list', 'watch');
    await restartOperator();
    await expectStalled(away, 'unseen', 'Forbidden', [
      'resource "pods"',
      'Compare its RBAC rules with those of the chart',
    ]);
    await expectOthersServed('meanwhile');
    await restore();
    await expectRecovered(away, 'unseen');
    expect((await away.pods('unseen')).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
    await away.deleteTenant('unseen');
  });

  it('a namespace that is deleted after its roles is not blocked by a session, and the others are served, also by an operator that starts then', async () => {
    const { kubectl, name } = passing;
    const setFinalizers = (object: string, finalizers: string[]) =>
      kubectl.try(['patch', object, '-n', name, '--type=merge', '-p', JSON.stringify({ metadata: { finalizers } })]);
    const isGone = async (...object: string[]) =>
      (await kubectl.ok(['get', ...object, '--ignore-not-found', '-o', 'name'])) === '';
    await restartOperator();
    await passing.createTenant('brief', { ...light, suspend: true });
    await passing.createSession('brief', 'brief');
    await passing.waitForSession(
      'brief',
      'waits for its tenant, and has our finalizer',
      ({ metadata, status }) =>
        status?.conditions !== undefined && (metadata.finalizers?.includes(SESSION_DATA_FINALIZER) ?? false),
    );
    try {
      // As a tenant that waits for its children: it is observed to be terminating, so the session waits for one minute instead of five.
      await setFinalizers('ct/brief', ['example.com/children']);
      await kubectl.ok(['delete', 'rolebinding', ROLE, '-n', name]);
      const account = `--as=system:serviceaccount:${home.name}:copilot-operator`;
      const mayRead = ['auth', 'can-i', 'get', 'persistentvolumeclaims', account, '-n', name];
      await waitFor('it has no rights there any more', async () => (await kubectl.try(mayRead)).code !== 0, {
        withinMs: 30_000,
        everyMs: 200,
      });
      await kubectl.ok(['delete', 'namespace', name, '--wait=false']);
      await expectOthersServed('meanwhile');
      await waitFor('the session is gone', () => isGone('csn', 'brief', '-n', name), {
        withinMs: TENANT_TERMINATING_DEADLINE_MS + 30_000,
        everyMs: 500,
      });
      await setFinalizers('ct/brief', []);
      await waitFor('the namespace is gone', () => isGone('namespace', name), { withinMs: 60_000, everyMs: 500 });
    } finally {
      for (const object of ['ct/brief', 'csn/brief']) await setFinalizers(object, []);
    }
    await restartOperator();
    await expectOthersServed('later');
  });

  it('a status that it may not write any more is reported by an event', async () => {
    await revoke('copilottenants/status', 'update');
    await away.createTenant('mute', light);
    const event = await waitFor(
      'an event reports it',
      async () => (await away.events('mute')).find(({ reason }) => reason === 'Forbidden'),
      { withinMs: 30_000, everyMs: 200 },
    );
    expect(event.type).toBe('Warning');
    expect(event.message).toContain('CopilotTenant mute');
    expect(event.message).toContain('cannot update resource "copilottenants/status"');
    await expectOthersServed('meanwhile');
    await restore();
    await expectRecovered(away, 'mute');
    await away.deleteTenant('mute');
  });
});
