// Operator, two replicas of the gateway, and servers that share a volume: a session goes on at another server, and its client stays connected.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { CopilotClient } from '@github/copilot-sdk';
import { approveAll } from '@github/copilot-sdk';
import { contentOf, keyIn } from '../../../src/gateway/locks/kubernetes/session-lease.ts';
import { Lease, Secret } from '../../../src/kube/types/builtins.ts';
import { fromKey } from '../../../src/kube/types/types.ts';
import { bindingFrom, withClient } from '../../support/chat.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { freePort } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { askingTestModel, ModelInCluster } from '../../support/model-in-cluster.ts';
import { SharedVolume } from '../../support/shared-volume.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;
let volume: SharedVolume;
let model: ModelInCluster;
/** Of the replicas. */
const ports: number[] = [];

beforeAll(async () => {
  namespace = await TestNamespace.open({ gateway: true });
  volume = await SharedVolume.create(namespace);
  ports.push(await freePort(), await freePort());
  await namespace.startOperator({ args: [`--gateway-address=127.0.0.1:${ports[0]}`] });
  const kubeconfig = await namespace.operatorKubeconfig('copilot-gateway');
  for (const port of ports) {
    const flags = [`--watch-namespaces=${namespace.name}`, '--drain-timeout=1s', `--peer-port=${await freePort()}`];
    const gateway = await GatewayProcess.start(kubeconfig, [`--listen-port=${port}`, ...flags], namespace.name);
    namespace.use({ [Symbol.asyncDispose]: () => gateway.kill() });
  }
  await namespace.createTenant('acme', {
    ...volume.spec,
    replicas: 2,
    placement: 'RoundRobin',
    server: { binary: 'runtime' },
    ...askingTestModel(namespace.name),
  });
  model = await ModelInCluster.start(namespace);
  await namespace.waitForReady('acme');
}, 4 * READY_MS);
afterAll(async () => {
  await namespace.close();
  await volume.delete();
});

/** An application that is connected to a replica. */
async function application<T>(replica: number, use: (client: CopilotClient) => Promise<T>): Promise<T> {
  const { data = {} } = await namespace.client.get(Secret, namespace.ref('acme-binding'));
  return await withClient({ ...bindingFrom(data), host: '127.0.0.1', port: ports[replica] ?? 0 }, use);
}

/** The server at which a session is, as its record says, which is a Lease unless `--coordination` is set. */
async function serverOf(sessionId: string): Promise<string> {
  return await waitFor(`${sessionId} is placed`, async () => {
    for (const lease of await namespace.list(Lease)) {
      const key = keyIn(lease);
      const record = key?.session === sessionId ? contentOf(lease, key)?.record : undefined;
      if (record?.state === 'Placed') return fromKey(record.place.server).name;
    }
    return undefined;
  });
}

/** Prompts in the journal. Each event must name the one before it, or another one would have written beside it. */
function promptsOf(session: string): string[] {
  const lines = readFileSync(join(volume.directory, session, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const events = lines.map(
    (line) => JSON.parse(line) as { id: string; parentId: string | null; type: string; data: { content?: string } },
  );
  expect(events.slice(1).map(({ parentId }) => parentId)).toEqual(events.slice(0, -1).map(({ id }) => id));
  return events.flatMap(({ type, data }) => (type === 'user.message' ? [data.content ?? ''] : []));
}

describe('a session on a shared volume', () => {
  it('goes on at the other server when its own is scaled down, in the middle of a turn, for a client at each replica', async () => {
    await application(0, async (first) => {
      const config = { onPermissionRequest: approveAll };
      // One after the other, so one of them is on the server that goes.
      const sessions = await Promise.all(
        ['one', 'two'].map(async (sessionId) => {
          const session = await first.createSession({ ...config, sessionId });
          await session.sendAndWait({ prompt: `Remember 42 in ${sessionId}` }, READY_MS);
          return session;
        }),
      );
      const servers = await Promise.all(['one', 'two'].map(serverOf));
      expect(servers.toSorted()).toEqual(['acme-0', 'acme-1']);
      const moved = sessions[servers.indexOf('acme-1')];
      const id = moved?.sessionId ?? '';
      await application(1, async (second) => {
        const same = await second.resumeSession(id, config);
        // This operator knows of no gateway that drains, so the turn is cut, and the model is asked once more.
        await model.script({
          match: 'count',
          repeat: true,
          steps: [{ text: 'one two three four five six seven eight', delayMs: 400 }],
        });
        const counted = moved?.sendAndWait({ prompt: 'count' }, READY_MS);
        await waitFor('the model is asked', async () => (await model.journal('count')).length > 0);
        await namespace.kubectl.ok(['scale', 'ct/acme', '-n', namespace.name, '--replicas=1']);
        expect((await counted)?.data.content).toBe('one two three four five six seven eight');
        await waitFor('the session is at the other server', async () => (await serverOf(id)) === 'acme-0', {
          withinMs: 120_000,
          everyMs: 1000,
        });
        const answer = await same.sendAndWait({ prompt: 'and after it?' }, READY_MS);
        expect(answer?.data.content).toBe('Hello from the test model! You said: and after it?');
      });
      const [last] = (await model.journal('and after it?')).slice(-1);
      expect(last?.roles?.filter((role) => role === 'user')).toHaveLength(3);
      expect(promptsOf(id)).toEqual([`Remember 42 in ${id}`, 'count', 'and after it?']);
    });
  });

  it('is not lost with the pod of its server', async () => {
    await application(1, async (client) => {
      const session = await client.createSession({ onPermissionRequest: approveAll, sessionId: 'three' });
      await session.sendAndWait({ prompt: 'before' }, READY_MS);
      await namespace.kubectl.ok([
        'delete',
        'pod',
        '-n',
        namespace.name,
        '-l',
        'copilot-operator.dev/tenant=acme,app.kubernetes.io/component=server',
        '--grace-period=1',
      ]);
      const answer = await session.sendAndWait({ prompt: 'after' }, 2 * READY_MS);
      expect(answer?.data.content).toBe('Hello from the test model! You said: after');
      expect(promptsOf('three')).toEqual(['before', 'after']);
    });
  });
});
