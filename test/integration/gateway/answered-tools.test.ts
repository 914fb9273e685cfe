// A server that is lost between the two lines that it writes of a client's tool, on both real servers: its turn goes on, and the model is told.
import type { CopilotSession } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RelayBench, clientTool, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const WITHIN_MS = 60_000;

describe.each(['cli', 'runtime'] as const)('a tool of a client whose answer is half written (%s)', (binary) => {
  let bench: RelayBench;

  beforeEach(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterEach(() => bench[Symbol.asyncDispose]());

  const journalOf = ({ sessionId }: CopilotSession) => join(bench.server.sessionState, sessionId, 'events.jsonl');

  /** Whether the server has written an event of the type, which takes it a moment. */
  const isWritten = (session: CopilotSession, type: string) =>
    readFileSync(journalOf(session), 'utf8').includes(`"type":"${type}"`);

  /** Cuts the journal behind the last event of the type. */
  function cutBehind(session: CopilotSession, type: string): void {
    const lines = readFileSync(journalOf(session), 'utf8').split('\n');
    const at = lines.findLastIndex((line) => line.includes(`"type":"${type}"`));
    writeFileSync(journalOf(session), `${lines.slice(0, at + 1).join('\n')}\n`);
  }

  it('goes on, with a result that says so', async () => {
    // The model is slow to go on with what the tool has said, so that the server is lost before the turn ends.
    const word = await bench.answer(
      toolCall('lookup', { q: 'x' }),
      { text: 'too late', delayMs: 30_000 },
      { text: 'went on' },
    );
    await bench.client(async (client) => {
      const tools = [clientTool('lookup', (q) => `found ${q}`)];
      const session = await client.createSession(bench.config({ tools }));
      bench.mayLose(session.sessionId);
      const answer = session.sendAndWait({ prompt: word }, WITHIN_MS);
      await bench.asked(word, 2);
      await waitFor('the journal has the result', () => isWritten(session, 'tool.execution_complete'));
      await bench.server.kill();
      cutBehind(session, 'external_tool.completed');
      await bench.server.start();
      expect((await answer)?.data.content).toBe('went on');
      expect(await bench.toolResults(word)).toMatch(/interrupted/);
      // It can be used as before, also if a server was lost before it had written that result.
      const next = await bench.answer({ text: 'too late', delayMs: 30_000 }, { text: 'the next one' });
      const following = session.sendAndWait({ prompt: next }, WITHIN_MS);
      await bench.asked(next);
      await waitFor('the journal has the prompt', () => readFileSync(journalOf(session), 'utf8').includes(next));
      await bench.server.kill();
      const lines = readFileSync(journalOf(session), 'utf8').split('\n');
      writeFileSync(
        journalOf(session),
        lines.filter((line) => !line.includes('"type":"tool.execution_complete"')).join('\n'),
      );
      await bench.server.start();
      expect((await following)?.data.content).toBe('the next one');
    });
  }, 120_000);
});
