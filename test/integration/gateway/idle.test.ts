// What counts as a use of a tenant that may sleep, on both real servers: what waits for its clients or works for them does, looking at it does not.
import type { SessionConfig } from '@github/copilot-sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, listSessions } from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import type { Step } from '../../model/script.ts';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { TENANT } from '../../support/static-fleet.ts';
import { waitFor } from '../../support/wait.ts';

const patiently = { withinMs: 60_000, everyMs: 20 };
const CALL = { timeoutMs: 10_000 };
/** More than a look at it takes. */
const UNUSED_MS = 250;
const never = () => new Promise<never>(() => undefined);
const ask = toolCall('ask_user', { question: 'ok?', allow_freeform: true });

describe.each(['cli', 'runtime'] as const)('a tenant that may sleep (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary, { detachAfterMs: 100 });
    const sleep = { afterIdleMs: 60_000, wakeTimeoutMs: 60_000, phase: 'Running', epoch: 0 } as const;
    bench.gateway.fleet.change({ sleep });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());
  beforeEach(() => isUnused());

  /** For how long nobody has used it, in ms. While somebody does: 0. */
  function idleMs(): number {
    const { idle, upMs } = bench.gateway.uses();
    return idle.find(({ name }) => name === TENANT.name)?.idleMs ?? upMs;
  }

  /** It is used at this moment: what is found is not older than the look at it. */
  function expectUsed(): void {
    const since = performance.now();
    expect(idleMs()).toBeLessThanOrEqual(performance.now() - since);
  }

  /** Waits until it is; the failure shows what uses it. */
  async function isUnused(): Promise<void> {
    const used = () => JSON.stringify(bench.gateway.snapshot.sessions.filter(({ state }) => state !== 'Unloaded'));
    await waitFor('it is unused', () => idleMs() > UNUSED_MS, patiently).catch((error: unknown) => {
      throw new Error(`it is used by ${used()}`, { cause: error });
    });
  }

  /** A client is lost that has begun something, and nobody is attached any more. */
  async function left(changes: Partial<SessionConfig>, prompt: string, begun: () => Promise<unknown>): Promise<string> {
    const id = await bench.client(async (client) => {
      const session = await client.createSession(bench.config(changes));
      await session.send({ prompt });
      await begun();
      await client.forceStop();
      return session.sessionId;
    });
    await waitFor('the gateway has noticed', async () => (await bench.clients()) === 0, patiently);
    return id;
  }

  it('is used by a chat, and by each client that is attached, until the last one leaves', async () => {
    await bench.client(async (one) => {
      const session = await one.createSession(bench.config());
      await session.sendAndWait({ prompt: 'hello' });
      expectUsed();
      await bench.client(async (collaborator) => {
        await collaborator.resumeSession(session.sessionId, bench.config());
        await session.disconnect();
        expectUsed();
      });
    });
    await isUnused();
  }, 120_000);

  it.each(['the model', 'a permission', 'a tool of its client', 'an answer of the user'] as const)(
    'is used by a turn that waits for %s, of which the client is lost, until it ends',
    async (what) => {
      const { promise: called, resolve } = Promise.withResolvers<void>();
      const waits = (): Promise<never> => {
        resolve();
        return never();
      };
      const [changes, step] = {
        'the model': [{}, { text: 'never complete', delayMs: 60_000, chunks: 3 }],
        'a permission': [{ onPermissionRequest: waits }, toolCall('bash', { command: 'echo x', description: 'x' })],
        'a tool of its client': [{ tools: [clientTool('lookup', waits)] }, toolCall('lookup', { q: 'x' })],
        'an answer of the user': [{ onUserInputRequest: waits }, ask],
      }[what] as [Partial<SessionConfig>, Step];
      const word = await bench.answer(step, { text: 'done' });
      const id = await left(changes, word, () => (what === 'the model' ? bench.asked(word) : called));
      expectUsed();
      await bench.client(async (client) => {
        const tools = [clientTool('lookup', () => 'found')];
        const onUserInputRequest = () => ({ answer: 'yes', wasFreeform: true });
        const { promise: ended, resolve: onIdle } = Promise.withResolvers<void>();
        const onEvent = ({ type }: { type: string }) => void (type === 'session.idle' && onIdle());
        const session = await client.resumeSession(id, bench.config({ tools, onUserInputRequest, onEvent }));
        if (what === 'the model') await session.abort();
        await ended;
      });
      await isUnused();
    },
    120_000,
  );

  it('is not used by who only looks: pings, lists, the status, and the checks of the operator', async () => {
    const operator = new Client({
      host: bench.server.host,
      port: bench.server.port,
      token: bench.token,
      timers: systemClock,
    });
    await operator.open(CALL);
    try {
      const before = idleMs();
      await bench.client(async (client) => {
        await client.ping('x');
        await client.getStatus();
        await client.listSessions();
      });
      await operator.request('ping', { message: 'x' }, CALL);
      await listSessions(operator, CALL);
      expect(idleMs()).toBeGreaterThanOrEqual(before);
    } finally {
      operator.close();
    }
  }, 120_000);

  it('is used by a call about a session, also of a client that is not attached to it', async () => {
    const id = await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      await session.sendAndWait({ prompt: 'hello' });
      return session.sessionId;
    });
    await isUnused();
    await bench.client(async (client) => {
      const since = performance.now();
      await client.deleteSession(id);
      expect(idleMs()).toBeLessThanOrEqual(performance.now() - since);
    });
  }, 120_000);
});
