// Servers whose pods are Ready although they do not work: only pings detect that.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Bystander } from '../../support/bystander.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { freePort } from '../../support/copilot-server.ts';
import { dryRunPod, giveWrongToken } from '../../support/meddling-policy.ts';
import { serverPid } from '../../support/processes.ts';
import { scrape } from '../../support/scrape.ts';
import { expectRecovered, messageColumn } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

// Seconds instead of minutes until Unhealthy; five failures in a row, so that a busy machine is not enough.
const health = { interval: '1s', timeout: '1s', failureThreshold: 5 };

describe('servers that run and do not work', () => {
  let namespace: TestNamespace;
  let bystander: Bystander;
  let metricsPort: number;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    metricsPort = await freePort();
    await namespace.startOperator({ args: [`--metrics-bind-address=127.0.0.1:${metricsPort}`] });
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  const restarts = async (tenant: string) =>
    (await namespace.events(tenant)).filter(({ reason }) => reason === 'ServerRestarted');
  /** Waits until failing pings are reported with `reason` and `words`, wherever a user sees it. */
  const expectUnhealthy = async (tenant: string, reason: string, words: string[]): Promise<void> => {
    const unhealthy = await namespace.waitForTenant(
      tenant,
      `is Unhealthy with ${reason}`,
      (found) => conditionOf(found, 'Healthy').reason === reason && conditionOf(found, 'Ready').status === 'False',
    );
    expect(conditionOf(unhealthy, 'Ready').reason).toBe('ServersUnhealthy');
    const column = await messageColumn(namespace, tenant);
    for (const word of words) {
      expect(conditionOf(unhealthy, 'Healthy').message).toContain(word);
      expect(conditionOf(unhealthy, 'Ready').message).toContain(word);
      expect(column).toContain(word);
    }
  };

  it.concurrent(
    'one that takes connections and never answers is restarted, with an event, and not again at once',
    async () => {
      await namespace.createTenant('frozen', { health });
      await namespace.waitForReady('frozen');
      const [first] = await namespace.pods('frozen');
      if (!first) throw new Error('no pod');
      process.kill(serverPid(first), 'SIGSTOP');
      const restarted = await waitFor('an event reports the restart', async () => (await restarts('frozen'))[0], {
        withinMs: 30_000,
        everyMs: 200,
      });
      expect(restarted).toMatchObject({ type: 'Warning', count: 1 });
      expect(restarted.message).toMatch(/^Restarting server frozen-0: .* did not answer .* within 1000 ms/);
      await namespace.waitForTenant('frozen', 'runs a new pod', (found) => found.status?.servers?.[0]?.restarts === 1);
      const recovered = await expectRecovered(namespace, 'frozen');
      expect(recovered.status?.servers?.[0]).toMatchObject({ state: 'Healthy', restarts: 1 });

      const [second] = await namespace.pods('frozen');
      if (!second) throw new Error('no pod');
      expect(second.metadata.uid).not.toBe(first.metadata.uid);
      process.kill(serverPid(second), 'SIGSTOP');
      await expectUnhealthy('frozen', 'Timeout', [
        'frozen-0',
        'within 1000 ms',
        'Restart 1 did not help',
        'the next restart is due at',
      ]);
      const metrics = await scrape(metricsPort);
      expect(metrics.value('copilot_server_restarts_total')).toBe(1);
      expect(metrics.value('copilot_servers', { state: 'Timeout' })).toBe(1);
      expect(metrics.naming(namespace.name, 'frozen', 'bystander')).toEqual([]);
      process.kill(serverPid(second), 'SIGCONT');
      await expectRecovered(namespace, 'frozen');
      expect((await namespace.pods('frozen')).map(({ metadata }) => metadata.uid)).toEqual([second.metadata.uid]);
      expect(await restarts('frozen')).toHaveLength(1);
      await bystander.expectUntouched();
    },
  );

  it.concurrent(
    'one that rejects the token is reported and not restarted, and responds once it has the right one',
    async () => {
      const labels = { 'copilot-operator.dev/tenant': 'locked' };
      const undo = await giveWrongToken(namespace, labels, () => dryRunPod(namespace, labels));
      try {
        await namespace.createTenant('locked', { health, server: { binary: 'runtime' } });
        await expectUnhealthy('locked', 'AuthFailed', [
          'locked-0',
          'refused the connection token',
          'Secret locked-token',
          'kubectl rollout restart deploy/locked-0',
        ]);
      } finally {
        // Until it is no longer in force: a pod that is created before that keeps the wrong token.
        await undo();
      }
      const [pod] = await namespace.pods('locked');
      expect(pod?.spec?.containers[0]?.env?.at(-1)).toEqual({ name: 'COPILOT_CONNECTION_TOKEN', value: 'another' });
      expect(await restarts('locked')).toEqual([]);

      await namespace.kubectl.ok(['rollout', 'restart', 'deploy/locked-0', '-n', namespace.name]);
      const recovered = await expectRecovered(namespace, 'locked');
      expect(recovered.status?.servers?.[0]?.restarts).toBe(0);
      await bystander.expectUntouched();
    },
  );
});
