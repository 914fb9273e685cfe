import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { dirname } from 'node:path';
import { COPILOT_TENANT, GROUP } from '../../../src/api/names.ts';
import type { Pod } from '../../../src/kube/types/builtins.ts';
import { auditMark, isWrite } from '../../support/audit.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { Release } from '../../support/release.ts';
import { output, toolPath } from '../../support/tools.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;
let release: Release;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  release = await Release.install(namespace);
});
afterAll(async () => {
  await release.uninstall();
  await namespace.close();
});

const isReady = ({ status }: Pod) => status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True');

/** The commands that the notes of the chart tell people to run next. */
const nextCommands = () => release.notes.split('\n').filter((line) => line.startsWith('  kubectl '));
/** As somebody pastes it into a shell. */
const paste = (command: string) => {
  const path = `PATH='${dirname(toolPath('kubectl'))}':"$PATH"`;
  return output('bash', ['-c', `${path}; ${command}`]);
};

describe('an installed release', () => {
  it('has two replicas, Ready in a namespace that enforces the Pod Security standard "restricted"', async () => {
    const labels = await namespace.kubectl.ok(['get', 'ns', namespace.name, '-o', 'jsonpath={.metadata.labels}']);
    expect(JSON.parse(labels)).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
    const pods = await release.pods();
    expect(pods.map(isReady)).toEqual([true, true]);
    expect(pods.map(({ status }) => status?.containerStatuses?.[0]?.restartCount)).toEqual([0, 0]);
  });

  it('answers probes, and one of the replicas leads', async () => {
    const leader = await release.leader();
    const pods = (await release.pods()).map(({ metadata }) => metadata.name);
    for (const pod of pods) {
      for (const path of ['/livez', '/readyz', '/healthz']) expect(await release.get(pod, 8081, path)).toBe('ok');
    }
    const leads = (pod: string) => release.metric(pod, 'leader_election_master_status{name="copilot-operator"}');
    expect(await Promise.all(pods.map(leads))).toEqual(pods.map((pod) => (pod === leader ? 1 : 0)));
  });

  it('lets people who may edit in a namespace have tenants there', async () => {
    const bind = ['create', 'rolebinding', 'jane', '--clusterrole=edit', '--user=jane', '-n', namespace.name];
    await namespace.kubectl.ok(bind);
    const canI = async (verb: string, ...resource: string[]) => {
      const question = ['auth', 'can-i', verb, ...resource, '-n', namespace.name, '--as=jane'];
      return (await namespace.kubectl.try(question)).stdout.trim();
    };
    const tenants = `${COPILOT_TENANT.plural}.${GROUP}`;
    // The controller that adds up such roles takes its time.
    await waitFor('jane may make tenants', async () => (await canI('create', tenants)) === 'yes', { everyMs: 200 });
    expect(await canI('update', tenants, '--subresource=scale')).toBe('yes');
    expect(await canI('update', tenants, '--subresource=status')).toBe('no');
  });
});

describe('the two commands that the notes tell to run next', () => {
  it('make a tenant and end when it is Ready; its server outlives the release and is taken up by the next', async () => {
    const commands = nextCommands();
    expect(commands).toHaveLength(2);
    const printed = [];
    for (const command of commands) printed.push(await paste(command));
    expect(printed).toEqual([
      'copilottenant.copilot-operator.dev/acme created\n',
      expect.stringContaining('condition met'),
    ]);
    const tenant = await namespace.waitForIdle('acme');
    const [pod] = await namespace.pods('acme');

    await release.uninstall();
    expect(await release.pods()).toEqual([]);
    const clusterRoles = await namespace.kubectl.ok(['get', 'clusterroles,clusterrolebindings', '-o', 'name']);
    expect(clusterRoles).not.toContain(release.fullname);
    // Nobody looks after it now, and it goes on as it was.
    expect(await namespace.tenant('acme')).toEqual(tenant);
    const [left] = await namespace.pods('acme');
    expect(left).toEqual(pod);

    const mark = auditMark();
    release = await Release.install(namespace);
    const leader = await release.leader();
    await waitFor(
      'the server was pinged',
      async () => (await release.metric(leader, 'copilot_servers{state="Healthy"}')) === 1,
      { withinMs: READY_MS, everyMs: 200 },
    );
    expect(release.requestsSince(mark).filter((record) => isWrite(record) && record.resource !== 'leases')).toEqual([]);
    expect(conditionOf(await namespace.tenant('acme'), 'Ready').status).toBe('True');
    expect(await namespace.pods('acme')).toEqual([pod]);
  });
});
