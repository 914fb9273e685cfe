// What both real servers ask the clients of a session, by clients of the Node SDK: it is held while nobody is there, the first answer counts, and a turn
// whose server is lost meanwhile comes to its end. Other tests have what is said of permissions, tools, hooks and questions to the user in dropped, together and failover.
import type { CopilotClient, CopilotSession, SessionConfig, SessionEvent } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { withClient } from '../../support/chat.ts';
import { TestGitHub } from '../../support/github.ts';
import { McpListener } from '../../support/mcp-listener.ts';
import {
  AUTOMATIC_MODEL,
  ELICITATION,
  LEAVING_PLAN_MODE,
  PERMISSION,
  SAMPLING,
  type QuestionKind,
} from '../../support/question-kinds.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const KINDS = [PERMISSION, ELICITATION, SAMPLING, LEAVING_PLAN_MODE, AUTOMATIC_MODEL].map(
  (kind) => [kind.name, kind] as const,
);
const done = { text: 'done' };
const patiently = { withinMs: 60_000, everyMs: 20 };
const never = () => new Promise<never>(() => undefined);

/** A client in the session. */
interface Entered {
  readonly session: CopilotSession;
  readonly events: readonly SessionEvent[];
}

describe.each(['cli', 'runtime'] as const)('a server that asks its clients (%s)', (binary) => {
  let bench: RelayBench;
  let github: TestGitHub;

  beforeAll(async () => {
    // The automatic model is one of GitHub's.
    bench = await RelayBench.start(binary, {}, {}, async (model) => {
      github = await TestGitHub.start(model);
      return github.env;
    });
    bench.gateway.fleet.change({ model: { read: async () => ({ login: { gitHubToken: 'gho_test' } }) } });
  }, 120_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await github[Symbol.asyncDispose]();
  });

  /** Makes the session, or resumes it. */
  async function enter(
    client: CopilotClient,
    kind: QuestionKind,
    word: () => Promise<string>,
    id?: string,
  ): Promise<Entered> {
    const { promise: made, resolve } = Promise.withResolvers<CopilotSession>();
    const { onEvent, ...handlers } = kind.answering(word, made);
    const events: SessionEvent[] = [];
    const config: SessionConfig = {
      ...bench.config({ model: 'large', ...kind.config, ...handlers }),
      onEvent: (event) => {
        events.push(event);
        onEvent?.(event);
      },
    };
    const session = await (id === undefined ? client.createSession(config) : client.resumeSession(id, config));
    if (kind.interest !== undefined) await session.rpc.eventLog.registerInterest({ eventType: kind.interest });
    resolve(session);
    return { session, events };
  }

  /** Has the session ask, and returns the prompt. */
  async function ask({ session }: Entered, kind: QuestionKind): Promise<string> {
    const prompt = await bench.answer(...kind.steps, done);
    await kind.prepare?.(session);
    await session.send({ prompt });
    return prompt;
  }

  const ended = ({ events }: Entered) =>
    waitFor('the turn ends', () => events.some(({ type }) => type === 'session.idle'), patiently);

  /** What shows which answer has counted. */
  async function outcome({ events }: Entered, prompt: string): Promise<string> {
    const responses = events.flatMap((event) =>
      event.type === 'auto_mode_switch.completed' ? [event.data.response] : [],
    );
    return `${await bench.toolResults(prompt)}${responses.join()}`;
  }

  /** Resolves with a client when it is asked, which never answers. */
  function silent(): { readonly asked: Promise<void>; readonly word: () => Promise<never> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const word = () => {
      resolve();
      return never();
    };
    return { asked: promise, word };
  }

  it.each(KINDS)(
    '%s: a client that is lost leaves it to the next one',
    async (_, kind) => {
      let id = '';
      let prompt = '';
      await withClient(bench.binding, async (client) => {
        const { asked, word } = silent();
        const lost = await enter(client, kind, word);
        id = lost.session.sessionId;
        prompt = await ask(lost, kind);
        await asked;
        await client.forceStop();
      });
      await waitFor('the gateway has noticed', async () => (await bench.clients()) === 0, patiently);
      await bench.client(async (client) => {
        let times = 0;
        const word = async () => {
          times += 1;
          return kind.words[0];
        };
        const next = await enter(client, kind, word, id);
        await ended(next);
        expect(await outcome(next, prompt)).toContain(kind.words[0]);
        expect(times).toBe(1);
      });
    },
    120_000,
  );

  it.each(KINDS)(
    '%s: it is asked of all clients, and the first answer counts',
    async (_, kind) => {
      await bench.client(async (one) => {
        await bench.client(async (other) => {
          const { promise: later, resolve: answerLater } = Promise.withResolvers<string>();
          const { promise: both, resolve: isAskedToo } = Promise.withResolvers<void>();
          const slow = await enter(one, kind, () => {
            isAskedToo();
            return later;
          });
          const quick = await enter(
            other,
            kind,
            async () => {
              await both;
              return kind.words[1];
            },
            slow.session.sessionId,
          );
          const prompt = await ask(slow, kind);
          await ended(quick);
          answerLater(kind.words[0]);
          const found = await outcome(quick, prompt);
          expect(found).toContain(kind.words[1]);
          expect(found).not.toContain(kind.words[0]);
          // Whatever the late answer does, it does before what is asked after it.
          expect((await slow.session.rpc.metadata.activity()).hasActiveWork).toBe(false);
          expect((await slow.session.sendAndWait({ prompt: await bench.answer({ text: 'next' }) }))?.data.content).toBe(
            'next',
          );
        });
      });
    },
    120_000,
  );

  it.each(KINDS)(
    '%s: its server is lost meanwhile, and the turn comes to its end',
    async (_, kind) => {
      await bench.client(async (client) => {
        let isReplaced = false;
        const entered: Entered = await enter(client, kind, async () => {
          if (!isReplaced) {
            isReplaced = true;
            const isOnDisk = () => bench.server.journalOf(entered.session.sessionId).includes(`"${lastOnDisk(kind)}"`);
            await waitFor('the journal has it', isOnDisk, patiently);
            await bench.server.kill();
            await bench.server.start();
          }
          return kind.words[1];
        });
        const prompt = await ask(entered, kind);
        await ended(entered);
        expect(isReplaced).toBe(true);
        const journal = await entered.session.getEvents();
        const prompts = journal.flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
        expect(prompts).toEqual([prompt]);
        const { openQuestions } =
          bench.gateway.snapshot.sessions.find(({ id }) => id === entered.session.sessionId) ?? {};
        expect(openQuestions).toBe(0);
        expect(
          (await entered.session.sendAndWait({ prompt: await bench.answer({ text: 'next' }) }))?.data.content,
        ).toBe('next');
      });
    },
    120_000,
  );

  describe('a login at an MCP server', () => {
    /** A session with such a server; `word`: the token that its client has. */
    async function enterWith(
      client: CopilotClient,
      url: string,
      word: () => Promise<string>,
      id?: string,
    ): Promise<CopilotSession> {
      const mcpServers = { asks: { type: 'http' as const, url: `${url}/login`, tools: ['*'] } };
      const onMcpAuthRequest = async () => ({ kind: 'token' as const, accessToken: await word() });
      const config = bench.config({ model: 'large', mcpServers, onMcpAuthRequest });
      return id === undefined ? client.createSession(config) : client.resumeSession(id, config);
    }

    const tokensAt = ({ requests }: McpListener) =>
      requests.flatMap(({ headers: { authorization } }) => (authorization === undefined ? [] : [authorization]));
    const loggedIn = (mcp: McpListener) => waitFor('the login', () => tokensAt(mcp).length > 0, patiently);

    it('is left to the next client by one that is lost', async () => {
      await using mcp = await McpListener.start('lookup');
      let id = '';
      await withClient(bench.binding, async (client) => {
        const { asked, word } = silent();
        const session = await enterWith(client, mcp.url, word);
        id = session.sessionId;
        await session.sendAndWait({ prompt: 'before' });
        await asked;
        await client.forceStop();
      });
      await waitFor('the gateway has noticed', async () => (await bench.clients()) === 0, patiently);
      await bench.client(async (client) => {
        await enterWith(client, mcp.url, async () => 'token-of-the-next', id);
        await loggedIn(mcp);
      });
      expect(new Set(tokensAt(mcp))).toEqual(new Set(['Bearer token-of-the-next']));
    }, 120_000);

    it('is asked of all clients, and the first answer counts', async () => {
      await using mcp = await McpListener.start('lookup');
      const { promise: later, resolve: answerLater } = Promise.withResolvers<string>();
      await bench.client(async (one) => {
        const slow = await enterWith(one, mcp.url, () => later);
        await bench.client(async (other) => {
          await enterWith(other, mcp.url, async () => 'token-of-the-quick', slow.sessionId);
          await slow.sendAndWait({ prompt: 'now' });
          await loggedIn(mcp);
          answerLater('token-of-the-slow');
          // Whatever the late answer does, it does before what is asked after it.
          await slow.sendAndWait({ prompt: 'after' });
        });
      });
      expect(new Set(tokensAt(mcp))).toEqual(new Set(['Bearer token-of-the-quick']));
    }, 120_000);
  });
});

/** The last event before the question that is written to the disk. */
function lastOnDisk(kind: QuestionKind): string {
  if (kind === PERMISSION) return kind.type;
  return kind === AUTOMATIC_MODEL ? 'user.message' : 'assistant.message';
}
