// Several users on one session, each at another replica of the gateway than the next, with the real SDK on both real servers: whose turn it is, who is asked, who sent what.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import {
  approveAll,
  type CopilotClient,
  type CopilotSession,
  type PermissionHandler,
  type SessionConfig,
} from '@github/copilot-sdk';
import type { TurnRule } from '../../../src/api/names.ts';
import type { Step } from '../../model/script.ts';
import { withClient } from '../../support/chat.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { bindingTokenFor } from '../../support/gateway.ts';
import { JoinedGateways } from '../../support/joined-gateways.ts';
import { TestModel } from '../../support/model.ts';
import { request, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const TOKEN = 'f3b1c0ffee';
const FIRST_ASKED_MS = 500;
const USERS = ['alice', 'bob', 'carol'] as const;
const patiently = { withinMs: 30_000, everyMs: 20 };
const bash = toolCall('bash', { command: 'echo hi42', description: 'x' });
const done = { text: 'done' };

/** A user with the session. */
interface Person {
  readonly session: CopilotSession;
  readonly client: CopilotClient;
  /** What it was told of a place in the queue. */
  readonly places: string[];
}

describe.each(['cli', 'runtime'] as const)('users of one session (%s)', (binary) => {
  let model: TestModel;
  let server: CopilotServer;
  let gateways: JoinedGateways;

  beforeAll(async () => {
    model = await TestModel.start();
    server = await CopilotServer.start(binary, TOKEN);
    const { host, port } = server;
    gateways = await JoinedGateways.start(['away', 'home'], 'home', {
      server: { host, port },
      token: TOKEN,
      isolation: 'SharedTrusted',
      relayLimits: { firstAskedMs: FIRST_ASKED_MS },
    });
  }, 90_000);
  afterAll(async () => {
    await gateways[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    model[Symbol.dispose]();
  });

  async function answer(...steps: Step[]): Promise<string> {
    const match = randomUUID();
    await model.say({ match, steps });
    return match;
  }

  const asked = (word: string) =>
    waitFor('the model is asked', async () => (await model.requests(word)).length > 0, patiently);

  /** A turn of a second and a half, which runs now, and its answer. */
  async function slowTurn({ session }: Person): Promise<{ readonly answered: Promise<string | undefined> }> {
    const word = await answer({ text: 'slow answer', delayMs: 700, chunks: 2 });
    const turn = session.sendAndWait({ prompt: word }, patiently.withinMs);
    await asked(word);
    return { answered: turn.then((message) => message?.data.content) };
  }

  /** A session of alice with these users, of whom all but the first are at the home. */
  async function shared(
    turns: TurnRule,
    use: (people: readonly Person[]) => Promise<void>,
    handlers: readonly Partial<SessionConfig>[] = [],
  ): Promise<void> {
    const sessionId = randomUUID();
    for (const name of ['away', 'home']) {
      const { ownership } = gateways.gateway(name);
      ownership.record(sessionId, { owner: 'alice', participants: ['bob', 'carol'], settings: { turns } });
    }
    const join = (index: number, people: readonly Person[]): Promise<void> => {
      const user = USERS[index];
      if (user === undefined) return use(people);
      const at = gateways.gateway(index === 0 ? 'away' : 'home');
      const binding = { ...model.bind(at, ''), token: bindingTokenFor(user) };
      const { provider } = binding;
      const config: SessionConfig = {
        onPermissionRequest: approveAll,
        model: 'test-model',
        ...(provider && { provider }),
        ...handlers[index],
      };
      return withClient(binding, async (client) => {
        const session = await (index === 0
          ? client.createSession({ ...config, sessionId })
          : client.resumeSession(sessionId, config));
        // A session is there for others from its first turn on.
        if (index === 0) await session.sendAndWait({ prompt: await answer(done) }, patiently.withinMs);
        const places: string[] = [];
        session.on('session.info', ({ data }) => void (data.infoType === 'gateway_queue' && places.push(data.message)));
        await join(index + 1, [...people, { session, client, places }]);
      });
    };
    await join(0, []);
  }

  const turnOf = async ({ session }: Person, prompt: string) =>
    (await session.sendAndWait({ prompt }, patiently.withinMs))?.data.content;

  it('Queue: they wait in their order, are told their place, and each gets its own answer', async () => {
    await shared('Queue', async ([alice, bob, carol]) => {
      const { answered: hers } = await slowTurn(alice as Person);
      const words = [await answer({ text: 'for bob' }), await answer({ text: 'for carol' })] as const;
      const ofBob = turnOf(bob as Person, words[0]);
      await waitFor('bob is told', () => bob?.places.length === 1, patiently);
      const ofCarol = turnOf(carol as Person, words[1]);
      await waitFor('carol is told', () => carol?.places.length === 1, patiently);
      expect(bob?.places[0]).toContain('waits for the turn of alice: it is number 1 of 1');
      expect(carol?.places[0]).toContain('waits for the turn of alice: it is number 2 of 2');
      expect(await Promise.all([hers, ofBob, ofCarol])).toEqual(['slow answer', 'for bob', 'for carol']);
      expect(carol?.places.at(-1)).toContain('waits for the turn of bob: it is number 1 of 1');
      const sent = ((await alice?.session.getEvents()) ?? []).filter(({ type }) => type === 'user.message');
      expect(sent.slice(-2).map(({ data }) => (data as { content: string }).content)).toEqual(words);
    });
  }, 60_000);

  it('Queue: who aborts while it waits, or leaves, takes its prompt back, and the turn of the other goes on', async () => {
    await shared('Queue', async ([alice, bob, carol]) => {
      const { answered: hers } = await slowTurn(alice as Person);
      const [cancelled, left] = [await answer(done), await answer(done)];
      const sending = bob?.session.send({ prompt: cancelled }).catch((error: unknown) => error);
      await waitFor('bob is told', () => bob?.places.length === 1, patiently);
      const leaving = carol?.session.send({ prompt: left }).catch((error: unknown) => error);
      await waitFor('carol is told', () => carol?.places.length === 1, patiently);
      await bob?.session.abort();
      expect(await sending).toMatchObject({ code: -32054, data: { outcome: 'NotSent' } });
      await waitFor('carol is told again', () => carol?.places.length === 2, patiently);
      await carol?.client.forceStop();
      expect(await hers).toBe('slow answer');
      expect(await leaving).toBeInstanceOf(Error);
      // Behind whatever waited.
      expect(await turnOf(bob as Person, await answer({ text: 'later' }))).toBe('later');
      expect([await model.requests(cancelled), await model.requests(left)]).toEqual([[], []]);
    });
  }, 60_000);

  it('Queue: nothing is sent of somebody who is no participant any more', async () => {
    await shared('Queue', async ([alice, bob]) => {
      const { answered: hers } = await slowTurn(alice as Person);
      const word = await answer(done);
      const sending = bob?.session.send({ prompt: word }).catch((error: unknown) => error);
      await waitFor('bob is told', () => bob?.places.length === 1, patiently);
      const { ownership } = gateways.gateway('home');
      ownership.record(bob?.session.sessionId ?? '', {
        owner: 'alice',
        participants: [],
        settings: { turns: 'Queue' },
      });
      expect(await sending).toMatchObject({ data: { outcome: 'NotSent' } });
      expect(await hers).toBe('slow answer');
      expect(await turnOf(alice as Person, await answer({ text: 'next' }))).toBe('next');
      expect(await model.requests(word)).toEqual([]);
    });
  }, 60_000);

  it('Refuse: the prompt of another user is refused, with who uses the session and since when, until that is over', async () => {
    await shared('Refuse', async ([alice, bob]) => {
      const before = Date.now();
      const { answered: hers } = await slowTurn(alice as Person);
      const error = (await bob?.session.send({ prompt: 'now' }).catch((reason: unknown) => reason)) as {
        readonly message: string;
        readonly data: { readonly since: string };
      };
      expect(error).toMatchObject({ data: { rule: 'SessionInUse', holder: 'alice', retryable: true } });
      expect(error.message).toContain(`the session is in use by alice since ${error.data.since}`);
      expect(Date.parse(error.data.since)).toBeGreaterThanOrEqual(before);
      expect(await hers).toBe('slow answer');
      expect(await turnOf(bob as Person, await answer({ text: 'for bob' }))).toBe('for bob');
    });
  }, 60_000);

  it('a permission is asked of the user whose turn it is, and of the others when that says nothing, or has left', async () => {
    const calls: string[] = [];
    let isSilent = false;
    const handler =
      (name: string): PermissionHandler =>
      () => {
        calls.push(name);
        const silence = new Promise<never>(() => undefined);
        return isSilent && name === 'bob' ? silence : { kind: 'approve-once' };
      };
    const handlers = USERS.map((name) => ({ onPermissionRequest: handler(name) }));
    await shared(
      'Queue',
      async ([alice, bob]) => {
        const completed: string[] = [];
        alice?.session.on('permission.completed', () => void completed.push('alice'));
        expect(await turnOf(bob as Person, await answer(bash, done))).toBe('done');
        expect(calls.splice(0)).toEqual(['bob']);
        await waitFor('alice hears of it', () => completed.length === 1, patiently);
        isSilent = true;
        const word = await answer(bash, done);
        expect(await turnOf(bob as Person, word)).toBe('done');
        expect(calls[0]).toBe('bob');
        expect(calls.splice(0).toSorted()).toEqual(['alice', 'bob', 'carol']);
        expect(JSON.stringify(await model.requests(word))).toContain('hi42');
        const last = await answer(bash, done);
        await bob?.session.send({ prompt: last });
        await waitFor('bob is asked', () => calls.includes('bob'), patiently);
        await bob?.session.disconnect();
        await waitFor('the turn goes on', async () => (await model.requests(last)).length === 2, patiently);
        expect(calls.slice(1).toSorted()).toEqual(['alice', 'carol']);
      },
      handlers,
    );
  }, 60_000);

  it('the audit log says who sent a message; a server that has a name in its source takes it for no word of a person', async () => {
    await shared('Queue', async ([, bob]) => {
      const { session, client } = bob as Person;
      const { sessionId } = session;
      const { log } = gateways.gateway('home');
      const sent = async (params: object) => {
        const prompt = await answer(done);
        const ends = new Promise((resolve) => session.on('session.idle', resolve));
        const result = await request(client, 'session.send', { sessionId, prompt, ...params });
        await ends;
        return { prompt, ...(result as { readonly messageId: string }) };
      };
      const plain = await sent({});
      const stamped = await sent({ source: 'user-bob' });
      const lines = [plain, stamped].map(({ messageId }) => log.find(({ messages }) => String(messages) === messageId));
      expect(lines).toEqual(
        lines.map(() =>
          expect.objectContaining({ audit: true, session: sessionId, user: 'bob', client: expect.anything() }),
        ),
      );
      // Why the gateway does not write the user there: the history could not be rewound to what the user has said.
      const found = JSON.stringify(await request(client, 'session.history.listRewindPoints', { sessionId }));
      expect([found.includes(plain.prompt), found.includes(stamped.prompt)]).toEqual([true, false]);
    });
  }, 60_000);
});
