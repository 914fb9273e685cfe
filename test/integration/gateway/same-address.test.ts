// Another server answers at the address of one that is lost, both real programs: it is told nothing of the sessions of the first one, nor in their place.
import type { CopilotClient } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync } from 'node:fs';
import { CopilotServer } from '../../support/copilot-server.ts';
import { problemsOf } from '../../support/history.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { TENANT } from '../../support/static-fleet.ts';
import { waitFor } from '../../support/wait.ts';
import { Watched, historyEvent } from '../../support/watched.ts';

const patiently = { withinMs: 60_000, everyMs: 50 };
const slow = { text: 'one two three four', delayMs: 400 };

describe.each(['cli', 'runtime'] as const)('at the address of a server that is lost (%s)', (binary) => {
  let bench: RelayBench;

  beforeEach(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterEach(() => bench[Symbol.asyncDispose]());

  /** What the gateway hears of it: another pod has the address. */
  function pod(podUID: string): void {
    const { fleet } = bench.gateway;
    const { servers = [] } = fleet.find(TENANT) ?? {};
    fleet.change({ servers: servers.map((server) => ({ ...server, podUID })) });
  }

  const sessionsOf = ({ sessionState }: CopilotServer): string[] =>
    existsSync(sessionState) ? readdirSync(sessionState).filter((name) => !name.startsWith('.')) : [];

  /** A session in the middle of a turn whose server is gone, and another server with `token` at its address. */
  async function replaced(client: CopilotClient, token: string) {
    const watched = new Watched(await client.createSession(bench.config()));
    await watched.say('before');
    const word = await bench.answer(slow, slow);
    const turn = watched.say(word).catch((error: Error) => error.message);
    await bench.asked(word);
    // What is not on the disk yet dies with its server.
    await waitFor(
      'the prompt is on the disk',
      () => bench.server.journalOf(watched.session.sessionId).includes(word),
      patiently,
    );
    await bench.server.kill();
    const other = await CopilotServer.start(binary, token, [], {}, bench.server.port);
    pod('of-the-other');
    return { watched, word, turn, other };
  }

  async function comesBack(other: CopilotServer): Promise<void> {
    await other.kill();
    await bench.server.start();
    pod('back');
  }

  it('one of somebody else is refused, and the turn goes on once its own server is back', async () => {
    await bench.client(async (client) => {
      const { watched, turn, other } = await replaced(client, 'of-another-tenant');
      await using _other = other;
      const refused = () => bench.gateway.metric('copilot_gateway_server_dials_total', { result: 'AuthFailed' });
      await waitFor('it refuses the token', async () => (await refused()) > 0, patiently);
      expect(sessionsOf(other)).toEqual([]);
      await comesBack(other);
      expect(await turn).toBe(slow.text);
      const journal = (await watched.session.getEvents()).map(historyEvent);
      expect(problemsOf(journal, watched.seen)).toEqual([]);
    });
  }, 120_000);

  it('one of the tenant without the sessions does not get them: their clients are told, and new ones are made there', async () => {
    await bench.client(async (client) => {
      const { watched, word, turn, other } = await replaced(client, bench.token);
      await using _other = other;
      expect(await turn).toMatch(/could not be restored/);
      await expect(watched.session.send({ prompt: 'not here' })).rejects.toThrow('Session not found');
      const made = await client.createSession(bench.config());
      expect((await made.sendAndWait({ prompt: 'here' }))?.data.content).toContain('here');
      expect(sessionsOf(other)).toEqual([made.sessionId]);
      // What is there now is not what it was before: each is found where it is.
      await comesBack(other);
      expect(await watched.say('after')).toContain('after');
      const prompts = (await watched.session.getEvents()).flatMap((event) =>
        event.type === 'user.message' ? [event.data.content] : [],
      );
      expect(prompts).toEqual(['before', word, 'after']);
      expect(sessionsOf(bench.server)).toEqual([watched.session.sessionId]);
    });
  }, 120_000);
});
