import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, Pod } from '../../../src/kube/types/builtins.ts';
import { conditionOf, READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import type { OperatorProcess } from '../../support/operator.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const runtime = { binary: 'runtime' } as const;

describe('servers that are replaced, and servers that are not', () => {
  let namespace: TestNamespace;
  let operator: OperatorProcess;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    operator = await namespace.startOperator();
    await namespace.putSecret('github', { token: 'github_pat_first' });
    const model = { github: { tokenSecretRef: { name: 'github', key: 'token' } } };
    await namespace.createTenant('acme', { server: runtime, replicas: 2, model });
    await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.close());

  const podUIDs = async () =>
    (await namespace.pods('acme')).map(({ metadata }) => metadata.uid ?? '').toSorted((a, b) => a.localeCompare(b));

  it('a restarted operator with a newer default image changes no child and restarts no server while none may be rolled out', async () => {
    const versions = async () => {
      const found = [...(await namespace.list(Deployment)), ...(await namespace.list(PersistentVolumeClaim))];
      return found.map(({ metadata }) => metadata.resourceVersion);
    };
    const [pods, before] = [await podUIDs(), await versions()];
    await operator.stop();
    operator = await namespace.startOperator({
      serverImage: 'localhost/copilot-cli:newer',
      args: ['--max-concurrent-rollouts=0'],
    });
    const pinged = () => operator.log.filter(({ msg }) => msg === 'server is Healthy').length === 2;
    await waitFor('both servers were pinged', pinged, { withinMs: 30_000 });
    expect(await versions()).toEqual(before);
    expect(await podUIDs()).toEqual(pods);
    await operator.stop();
    operator = await namespace.startOperator();
  });

  it('a change of the spec replaces them one at a time', async () => {
    const before = new Set(await podUIDs());
    const ready = async () => (await namespace.tenant('acme')).status?.readyReplicas ?? 0;
    let fewest = 2;
    await namespace.patchTenant('acme', { spec: { server: { idleUnload: '1h' } } });
    await waitFor(
      'both are replaced and ready',
      async () => {
        fewest = Math.min(fewest, await ready());
        return fewest < 2 && (await ready()) === 2 && (await podUIDs()).every((uid) => !before.has(uid));
      },
      { withinMs: 2 * READY_MS, everyMs: 50 },
    );
    expect(fewest).toBe(1);
  });

  it('an image that cannot be pulled stops at the first one; the other keeps running, and the previous image fixes it', async () => {
    const survivor = (await namespace.pods('acme', 'acme-1'))[0]?.metadata.uid;
    await namespace.patchTenant('acme', { spec: { server: { image: 'localhost/no-such-image:1' } } });
    const stalled = await namespace.waitForStalled('acme', 'ImagePullFailed');
    expect(conditionOf(stalled, 'Ready').message).toContain('localhost/no-such-image:1');
    expect(stalled.status?.serversReady).toBe('1/2');
    expect((await namespace.list(Pod, 'copilot-operator.dev/server=acme-1'))[0]?.metadata.uid).toBe(survivor);
    await namespace.patchTenant('acme', { spec: { server: { image: SERVER_IMAGE } } });
    await namespace.waitForReady('acme');
  });

  it('a rotated GitHub token reaches them within a minute', async () => {
    await namespace.putSecret('github', { token: 'github_pat_second' });
    const tokenIn = async (server: string) =>
      (await namespace.exec(server, 'sh', '-c', 'echo "$COPILOT_GITHUB_TOKEN"')).trim();
    const started = Date.now();
    const rolling = async () => conditionOf(await namespace.tenant('acme'), 'Ready').status === 'False';
    await waitFor('the rotation was noticed', rolling, { withinMs: 60_000, everyMs: 50 });
    expect(Date.now() - started).toBeLessThan(60_000);
    await namespace.waitForReady('acme');
    expect(await Promise.all(['acme-0', 'acme-1'].map(tokenIn))).toEqual(['github_pat_second', 'github_pat_second']);
  });
});
