// Clients whose connection is broken in the middle of a turn in each way that there is, on both real servers, and others that are not.
import type { CopilotClient, CopilotSession, PermissionHandler, SessionConfig } from '@github/copilot-sdk';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { freePort } from '../../support/copilot-server.ts';
import { problemsOf, type HistoryEvent } from '../../support/history.ts';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { TcpGate } from '../../support/tcp-gate.ts';
import { waitFor } from '../../support/wait.ts';
import { Watched, historyEvent } from '../../support/watched.ts';

const slow = { text: 'one two three four', delayMs: 400 };
const done = { text: 'done' };
const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
const patiently = { withinMs: 60_000, everyMs: 20 };
const never = () => new Promise<never>(() => undefined);

describe.each(['cli', 'runtime'] as const)('a client that drops (%s)', (binary) => {
  let bench: RelayBench;
  let path: TcpGate;
  let port: number;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());
  beforeEach(async () => {
    port = await freePort();
    path = await TcpGate.start({ host: bench.binding.host, port }, bench.binding);
  });
  afterEach(() => path.stop());

  const breaks = {
    FIN: () => path.cut(),
    RST: () => path.reset(),
  } as const;

  /** Runs `use` with a client whose path can be broken. It cannot take leave when that has happened. */
  async function doomed(use: (client: CopilotClient) => Promise<void>): Promise<void> {
    await bench.clientAt({ ...bench.binding, port }, async (client) => {
      await use(client);
      await client.forceStop();
    });
  }

  const gone = (clients: number) =>
    waitFor('the gateway has noticed', async () => (await bench.clients()) === clients, patiently);

  /** Begins a turn, breaks the path of its client when `until` says so, and returns the id of the session. */
  async function dropped(
    how: keyof typeof breaks,
    changes: Partial<SessionConfig>,
    prompt: string,
    until: (session: CopilotSession) => Promise<unknown>,
  ): Promise<string> {
    let id = '';
    await doomed(async (client) => {
      const session = await client.createSession(bench.config({ streaming: true, ...changes }));
      id = session.sessionId;
      await session.sendAndWait({ prompt: 'before' });
      await session.send({ prompt });
      await until(session);
      breaks[how]();
      await gone(0);
    });
    return id;
  }

  /** What the journal has from this prompt on. */
  async function since(session: CopilotSession, prompt: string): Promise<HistoryEvent[]> {
    const journal = (await session.getEvents()).map(historyEvent);
    return journal.slice(journal.findIndex(({ content }) => content === prompt));
  }

  describe.each(['FIN', 'RST'] as const)('by %s', (how) => {
    it('in mid-stream: who attaches gets the durable events of the turn, once and in order', async () => {
      const word = await bench.answer(bash, slow);
      const id = await dropped(how, {}, word, () => bench.asked(word, 2));
      await bench.client(async (client) => {
        const events: HistoryEvent[] = [];
        const onEvent: SessionConfig['onEvent'] = (event) => void events.push(historyEvent(event));
        const session = await client.resumeSession(id, { ...bench.config(), onEvent });
        await waitFor('the turn ends', () => events.some(({ type }) => type === 'session.idle'), patiently);
        expect(problemsOf(await since(session, word), { prompts: [word], failed: [], events })).toEqual([]);
      });
      expect((await bench.model.requests(word)).map(({ outcome }) => outcome)).toEqual(['completed', 'completed']);
    }, 120_000);

    it('with a permission pending: it is offered to who attaches, once', async () => {
      const word = await bench.answer(bash, done);
      const { promise: called, resolve } = Promise.withResolvers<void>();
      const hanging: PermissionHandler = () => {
        resolve();
        return never();
      };
      const id = await dropped(how, { onPermissionRequest: hanging }, word, () => called);
      let asked = 0;
      const onPermissionRequest: PermissionHandler = () => {
        asked += 1;
        return { kind: 'approve-once' };
      };
      await bench.client(async (client) => {
        const { promise: idle, resolve: onIdle } = Promise.withResolvers<void>();
        const onEvent: SessionConfig['onEvent'] = ({ type }) => void (type === 'session.idle' && onIdle());
        await client.resumeSession(id, { ...bench.config({ onPermissionRequest }), onEvent });
        await idle;
      });
      expect(asked).toBe(1);
      expect(await bench.toolResults(word)).toContain('hi42');
    }, 120_000);

    it('beside another one, which notices nothing', async () => {
      const word = await bench.answer(toolCall('lookup', { q: 'abc' }), bash, slow);
      await bench.client(async (client) => {
        const tools = [clientTool('lookup', (q) => `found ${q}`)];
        const watched = new Watched(await client.createSession(bench.config({ streaming: true, tools })));
        await doomed(async (other) => {
          // It would be asked for a permission first, and be called first.
          const same = { onPermissionRequest: never, tools: [clientTool('lookup', never)] };
          await other.resumeSession(watched.session.sessionId, bench.config(same));
          const turn = watched.say(word);
          await bench.asked(word);
          await waitFor(
            'the tool waits',
            () => bench.gateway.snapshot.sessions.some(({ openQuestions }) => openQuestions > 0),
            patiently,
          );
          breaks[how]();
          expect(await turn).toBe(slow.text);
          await gone(1);
        });
        expect(problemsOf((await watched.session.getEvents()).map(historyEvent), watched.seen)).toEqual([]);
        expect(await watched.say('and now')).toContain('and now');
      });
      expect(await bench.toolResults(word)).toContain('found abc');
      expect(await bench.toolResults(word)).toContain('hi42');
    }, 120_000);
  });

  const isInTurn = (id: string) =>
    bench.gateway.snapshot.sessions.some((each) => each.id === id && each.state === 'Running');

  // Not just as it ends: then the end may be on its way to the client while the prompt is on its way to the gateway, as without a gateway.
  it.each([
    ['while the turn goes on', 1_000, (id: string) => expect(isInTurn(id)).toBe(true)],
    ['when the turn has ended', 100, (id: string) => waitFor('the turn has ended', () => !isInTurn(id), patiently)],
  ] as const)(
    '%s: a prompt sent right after the resume gets its own answer',
    async (_when, delayMs, until) => {
      const word = await bench.answer({ text: 'the answer of before', delayMs, chunks: 4 });
      const id = await dropped('RST', {}, word, () => bench.asked(word));
      await until(id);
      await bench.client(async (client) => {
        const next = await bench.answer({ text: 'its own answer' });
        const session = await client.resumeSession(id, bench.config());
        expect((await session.sendAndWait({ prompt: next }, 60_000))?.data.content).toBe('its own answer');
        const prompts = (await session.getEvents()).flatMap((event) =>
          event.type === 'user.message' ? [event.data.content] : [],
        );
        expect(prompts).toEqual(['before', word, next]);
      });
    },
    120_000,
  );
});
