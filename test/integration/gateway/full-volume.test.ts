// A volume that is full in the middle of turns, with both real servers: clients are told, sessions elsewhere go on, and all is well once there is room.
import type { CopilotSession } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RelayBench } from '../../support/relay-bench.ts';
import { SmallMount } from '../../support/small-disk.ts';
import { waitFor } from '../../support/wait.ts';

const FULL = /No space left on device/;
const slow = { text: 'one two three four', delayMs: 400, chunks: 4 };
const patiently = { withinMs: 60_000, everyMs: 200 };

describe.each(['cli', 'runtime'] as const)('a server whose volume is full (%s)', (binary) => {
  let bench: RelayBench;
  let volume: SmallMount;

  beforeEach(async () => {
    bench = await RelayBench.startSeveral(2, binary);
    volume = new SmallMount(bench.server.sessionState, 16);
  }, 120_000);
  afterEach(async () => {
    volume[Symbol.dispose]();
    await bench[Symbol.asyncDispose]();
  });

  const say = async (session: CopilotSession, prompt: string) =>
    (await session.sendAndWait({ prompt }, 60_000))?.data.content;

  /** Two sessions that have had a turn: one on the volume that will be full, the other one on that of the other server. */
  async function inSessions(use: (session: CopilotSession, elsewhere: CopilotSession) => Promise<void>): Promise<void> {
    await bench.client(async (client) => {
      const sessions: CopilotSession[] = [];
      for (const _ of bench.servers) {
        const session = await client.createSession(bench.config());
        await say(session, 'before');
        sessions.push(session);
      }
      const isHere = ({ sessionId }: CopilotSession) => bench.server.journalOf(sessionId) !== '';
      const [here, elsewhere] = [sessions.find(isHere), sessions.find((each) => !isHere(each))];
      if (here === undefined || elsewhere === undefined) throw new Error('both sessions are on one server');
      await use(here, elsewhere);
    });
  }

  /** Prompts until one is answered: what the server said of the time before may come late. */
  async function goesOn(session: CopilotSession, prompt: string): Promise<void> {
    const isAnswered = async () => (await say(session, prompt))?.includes(prompt);
    await waitFor('a prompt is answered', isAnswered, patiently);
  }

  /** The texts of the prompts in the history; the same event is one, however often it was written. */
  async function prompts(session: CopilotSession): Promise<string[]> {
    const events = new Map((await session.getEvents()).map((event) => [event.id, event]));
    return [...events.values()].flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
  }

  it('tells its clients, and has what they said in the history once there is room', async () => {
    await inSessions(async (session, elsewhere) => {
      volume.fill();
      // What is left of the last page of the journal may have room for a turn.
      const taken: string[] = [];
      const refused = async () => {
        const prompt = `full ${taken.push('') - 1}`;
        taken[taken.length - 1] = prompt;
        return say(session, prompt).then(
          () => false,
          (error: Error) => error.message,
        );
      };
      expect(await waitFor('a client is told', refused, patiently)).toMatch(FULL);
      expect(await say(elsewhere, 'and here')).toContain('and here');
      volume.makeRoom();
      await goesOn(session, 'after');
      await bench.server.kill();
      await bench.server.start();
      await goesOn(session, 'at last');
      const found = await prompts(session);
      expect(found.filter((prompt) => prompt === 'before')).toHaveLength(1);
      expect(found).toEqual(expect.arrayContaining(['before', ...taken, 'after', 'at last']));
    });
  }, 240_000);

  it('that is lost in the middle of a turn has its client told, or the turn goes on', async () => {
    await inSessions(async (session, elsewhere) => {
      const word = await bench.answer(slow, slow, slow);
      const seen: string[] = [];
      session.on(({ type }) => void seen.push(type));
      const turn = say(session, word);
      await bench.asked(word);
      volume.fill();
      await bench.server.kill();
      await bench.server.start();
      const end = await turn.catch((error: Error) => error.message);
      expect(end).toMatch(new RegExp(`${slow.text}|${FULL.source}|not be restored|was lost`));
      expect(await say(elsewhere, 'and here')).toContain('and here');
      volume.makeRoom();
      await goesOn(session, 'after');
      const found = await prompts(session);
      expect(found).toEqual(expect.arrayContaining(['before', word, 'after']));
    });
  }, 240_000);
});
