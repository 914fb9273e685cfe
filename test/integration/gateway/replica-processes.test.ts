// Two gateways as processes of their own, with a real API server, a real server and the Node SDK: one of them is killed or stopped.
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { defineTool, approveAll, type CopilotSession } from '@github/copilot-sdk';
import { randomUUID } from 'node:crypto';
import { withClient, type Binding } from '../../support/chat.ts';
import { freePort, type CopilotServer } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { GatewayWorld } from '../../support/gateway-world.ts';
import { scrape } from '../../support/scrape.ts';
import { waitFor } from '../../support/wait.ts';

interface Started {
  readonly process: GatewayProcess;
  readonly port: number;
  readonly metrics: number;
}

let world: GatewayWorld;
let server: CopilotServer;
let replicas: Started[];

async function startReplica(): Promise<Started> {
  const [port, peer, metrics] = [await freePort(), await freePort(), await freePort()];
  const flags = [`--listen-port=${port}`, `--peer-port=${peer}`, `--metrics-port=${metrics}`, '--drain-timeout=60s'];
  return { process: await GatewayProcess.start(world.kubeconfig, flags), port, metrics };
}

beforeEach(async () => {
  world = await GatewayWorld.start();
  await world.createTenant('acme');
  server = await world.startServer('acme');
  replicas = [await startReplica(), await startReplica()];
  for (const { metrics } of replicas) {
    const knows = async () => (await scrape(metrics)).value('copilot_gateway_peers') === 1;
    await waitFor('the replicas know each other', knows, { withinMs: 30_000 });
  }
}, 120_000);
afterEach(async () => {
  for (const { process } of replicas) await process.kill();
  await server[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const forwarded = async ({ metrics }: Started): Promise<number> =>
  (await scrape(metrics)).value('copilot_gateway_forwarded_clients', { state: 'ToPeer' });

/** Runs `use` with a session of a client at a replica that is not the home. */
async function atHolder(
  use: (ask: (prompt: string) => Promise<string | undefined>, home: Started, session: CopilotSession) => Promise<void>,
): Promise<void> {
  const token = await world.token('acme-binding');
  for (const holder of replicas) {
    const home = replicas.find((each) => each !== holder);
    const binding: Binding = world.model.bind({ host: '127.0.0.1', port: holder.port }, token);
    const isForwarded = await withClient(binding, async (client) => {
      await client.getStatus();
      if (home === undefined || (await forwarded(holder)) !== 1) return false;
      const tools = [
        defineTool('lookup', {
          description: 'looks up',
          parameters: { type: 'object', properties: { q: { type: 'string' } } },
          handler: async ({ q }: { q: string }) => `found ${q}`,
        }),
      ];
      const session = await client.createSession({ tools, onPermissionRequest: approveAll });
      await use(async (prompt) => (await session.sendAndWait({ prompt }, 90_000))?.data.content, home, session);
      return true;
    });
    if (isForwarded) return;
  }
  throw new Error('no replica forwards its client');
}

/** A prompt that the model answers by the tool of the client. */
async function callTool(): Promise<string> {
  const match = randomUUID();
  await world.model.say({
    match,
    steps: [{ toolCall: { name: 'lookup', arguments: { q: 'abc' } } }, { text: 'done' }],
  });
  return match;
}

it.each([
  ['kill -9', (home: Started) => home.process.kill()],
  ['SIGTERM', (home: Started) => home.process.stop()],
])(
  'the next call of a live client works after its home has got %s',
  async (_, end) => {
    await atHolder(async (ask, home) => {
      const [first, second] = [await callTool(), await callTool()];
      expect(await ask(first)).toBe('done');
      await end(home);
      expect(await ask(second)).toBe('done');
      const results = (await world.model.requests(second)).flatMap(({ toolResults = [] }) => toolResults);
      expect(results.join()).toContain('found abc');
    });
  },
  180_000,
);

/** A prompt that is answered when it is asked once more. */
async function slowOnce(): Promise<string> {
  const match = randomUUID();
  const text = 'never complete';
  await world.model.say({ match, steps: [{ text, delayMs: 80_000, chunks: 3 }, { text: 'at last' }] });
  return match;
}

const prompts = async (session: CopilotSession): Promise<string[]> =>
  (await session.getEvents()).flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));

const isAsked = (prompt: string) => async () => (await world.model.requests(prompt)).length > 0;

it('a turn goes on when its home is killed', async () => {
  await atHolder(async (ask, home, session) => {
    const prompt = await slowOnce();
    const turn = ask(prompt);
    await waitFor('the model is asked', isAsked(prompt));
    await home.process.kill();
    expect(await turn).toBe('at last');
    expect(await prompts(session)).toEqual([prompt]);
  });
}, 180_000);

/** Ms. */
const PAUSE = 40_000;

it('a turn goes on when its home is paused for 40 s, which then does nothing more', async () => {
  await atHolder(async (ask, home, session) => {
    const prompt = await slowOnce();
    const turn = ask(prompt);
    await waitFor('the model is asked', isAsked(prompt));
    home.process.pause();
    const until = performance.now() + PAUSE;
    expect(await turn).toBe('at last');
    await waitFor('it was paused for long', () => performance.now() > until, { withinMs: PAUSE });
    home.process.resume();
    const gaveUp = () => home.process.output.includes('this replica may be taken for dead');
    await waitFor('it gives its tenants up', gaveUp, { withinMs: 60_000 });
    expect(await ask('next')).toContain('next');
    expect(await prompts(session)).toEqual([prompt, 'next']);
    expect(await world.model.requests(prompt)).toHaveLength(2);
  });
}, 240_000);

/** Twice as long as a Lease lasts, ms. */
const OUTAGE = 30_000;

it('clients that are connected and new ones notice nothing of an API server that is away', async () => {
  const token = await world.token('acme-binding');
  await atHolder(async (ask, home, session) => {
    await ask('before');
    await world.api.server.kill();
    const until = performance.now() + OUTAGE;
    await waitFor('Leases would have expired', () => performance.now() > until, { withinMs: OUTAGE + 30_000 });
    expect(await ask(await callTool())).toBe('done');
    for (const { port } of replicas) {
      const binding = world.model.bind({ host: '127.0.0.1', port }, token);
      const answer = await withClient(binding, async (client) => {
        const made = await client.createSession({ onPermissionRequest: approveAll });
        return (await made.sendAndWait({ prompt: 'new' }, 60_000))?.data.content;
      });
      expect(answer).toContain('new');
    }
    expect(home.process.output).not.toContain('this replica may be taken for dead');
    await world.api.server.start();
    expect(await ask('after')).toContain('after');
    expect(await prompts(session)).toHaveLength(3);
  });
}, 240_000);
