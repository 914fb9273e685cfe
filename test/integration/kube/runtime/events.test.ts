import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { ConfigMap, CoreEvent, Namespace } from '../../../../src/kube/types/builtins.ts';
import { systemClock } from '../../../../src/kube/clock/clock.ts';
import { EventRecorder } from '../../../../src/kube/runtime/events.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import type { KubeObject } from '../../../../src/kube/types/types.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { FaultProxy } from '../../../support/fault-proxy.ts';
import { configMap, connect } from '../../../support/kube.ts';
import { metricValue } from '../../../support/metrics.ts';
import { kubectlWith } from '../../../support/tools.ts';
import { waitFor } from '../../../support/wait.ts';

let apiServer: ApiServer;
let proxy: FaultProxy;
let ours: ReturnType<typeof connect>;
let users: ReturnType<typeof connect>;

beforeAll(async () => {
  apiServer = await startApiServer();
  proxy = await FaultProxy.start(apiServer);
  ours = connect(apiServer.kubeconfig({ server: proxy.url }));
  users = connect(apiServer.kubeconfig());
}, 90_000);
afterAll(async () => {
  await Promise.all([ours.transport.close(), users.transport.close()]);
  await proxy.stop();
  await apiServer.stop();
});

let worlds = 0;

async function world() {
  const namespace = `events-${worlds++}`;
  await users.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const object = await users.client.create(ConfigMap, configMap(namespace, 'acme'));
  const metrics = new Metrics();
  const recorder = new EventRecorder({
    client: ours.client,
    clock: systemClock,
    random: Math.random,
    log: pino({ level: 'silent' }),
    metrics,
    component: 'test-operator',
    instance: 'pod-1',
  });
  const stored = async () => (await users.client.list(CoreEvent, { namespace })).items;
  const counted = (outcome: string) => metricValue(metrics, 'event_recorder_events_total', { outcome });
  return { namespace, object, recorder, stored, counted };
}

describe('events in the cluster', () => {
  it('are one with a count if they are equal, also in kubectl', async () => {
    const { namespace, object, recorder, stored } = await world();
    for (let i = 1; i <= 3; i++) {
      recorder.event(object, 'Warning', 'ImagePullFailed', 'image example.com/x: not found');
      await waitFor(`count ${i}`, async () => (await stored())[0]?.count === i);
    }
    expect(await stored()).toHaveLength(1);
    const kubectl = kubectlWith(apiServer.kubeconfig());
    const shown = await kubectl.ok(['describe', 'configmap', 'acme', '-n', namespace]);
    expect(shown).toMatch(
      /Warning\s+ImagePullFailed\s+.*\(x3 over .*\)\s+test-operator\s+image example.com\/x: not found/,
    );
  });

  it('are created once when the response to their creation was lost', async () => {
    const { object, recorder, stored, counted } = await world();
    proxy.inject({ verb: 'create', resource: 'events' }, { kind: 'loseResponse' });
    recorder.event(object, 'Normal', 'Ready', 'all servers answer');
    await recorder.close(10_000);
    expect((await stored()).map(({ count }) => count)).toEqual([1]);
    expect(await counted('created')).toBe(1);
  });

  it('are dropped, and nothing fails, in a terminating namespace', async () => {
    const { namespace, object, recorder, stored, counted } = await world();
    const { uid = '' } = (await users.client.get(Namespace, { namespace: '', name: namespace })).metadata;
    await users.client.delete(Namespace, { namespace: '', name: namespace }, { uid });
    recorder.event(object, 'Normal', 'Ready', 'all servers answer');
    await recorder.close(10_000);
    expect([await stored(), await counted('dropped'), await counted('failed')]).toEqual([[], 1, undefined]);
  });

  it('are limited to 25 for one object', async () => {
    const { object, recorder, counted } = await world();
    const before = proxy.journal.length;
    for (let i = 0; i < 500; i++) recorder.event(object, 'Warning', `Reason${i % 50}`, `attempt ${i}`);
    await recorder.close(20_000);
    expect(proxy.journal.length - before).toBeLessThanOrEqual(25);
    expect(await counted('dropped')).toBe(475);
  });

  it('are accepted for objects with the longest possible names', async () => {
    const { object, recorder, stored, counted } = await world();
    const longest: KubeObject = { ...object, metadata: { ...object.metadata, name: 'x'.repeat(253) } };
    recorder.event(longest, 'Normal', 'Ready', 'y'.repeat(5_000));
    await recorder.close(10_000);
    expect(await counted('created')).toBe(1);
    expect(await stored()).toHaveLength(1);
  });
});
