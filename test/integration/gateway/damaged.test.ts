// Journals that are damaged while their server is away, on both real servers: whoever uses that session is told so alone.
import type { CopilotSession } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RelayBench } from '../../support/relay-bench.ts';

const slow = { text: 'one two three four', delayMs: 400 };

interface Damage {
  readonly name: string;
  readonly change: (journal: string) => string;
  /** Whether servers load what is left of it. */
  readonly isLoaded: boolean;
}

const DAMAGES: readonly Damage[] = [
  {
    name: 'cut in the middle of an event: what is left goes on',
    change: (journal) => journal.slice(0, Math.floor(journal.length * 0.6)),
    isLoaded: true,
  },
  {
    name: 'with a line in its middle that is none: the rest goes on',
    change: (journal) => {
      const lines = journal.split('\n');
      return lines.toSpliced(Math.floor(lines.length / 2), 0, '{"type":"user.mess\u0000\u0000').join('\n');
    },
    isLoaded: true,
  },
  {
    name: 'without its first event: its client is told, and nobody else',
    change: (journal) => journal.slice(journal.indexOf('\n') + 1),
    isLoaded: false,
  },
  { name: 'that is empty: its client is told, and nobody else', change: () => '', isLoaded: false },
];

describe.each(['cli', 'runtime'] as const)('a session whose journal is damaged (%s)', (binary) => {
  let bench: RelayBench;

  beforeEach(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterEach(() => bench[Symbol.asyncDispose]());

  const answerTo = (session: CopilotSession, prompt: string) =>
    session.sendAndWait({ prompt }, 60_000).then(
      (answer) => answer?.data.content,
      (error: Error) => `the error ${error.message}`,
    );

  it.each(DAMAGES)(
    '$name',
    async ({ change, isLoaded }) => {
      await bench.client(async (client) => {
        const sessions: CopilotSession[] = [];
        const turns: Promise<string | undefined>[] = [];
        for (let index = 0; index < 3; index += 1) {
          const session = await client.createSession(bench.config());
          await answerTo(session, 'before');
          sessions.push(session);
          const word = await bench.answer(slow, slow);
          turns.push(answerTo(session, word));
          await bench.asked(word);
        }
        await bench.server.kill();
        const path = join(bench.server.sessionState, sessions[1]?.sessionId ?? '', 'events.jsonl');
        writeFileSync(path, change(readFileSync(path, 'utf8')));
        await bench.server.start();
        const answers = await Promise.all(turns);
        const next = await Promise.all(sessions.map((session) => answerTo(session, 'next')));
        const told = (answer: string, error: string) => expect.stringContaining(isLoaded ? answer : error);
        expect(answers).toEqual([slow.text, told(slow.text, 'The session could not be restored'), slow.text]);
        const own = expect.stringContaining('next');
        expect(next).toEqual([own, told('next', 'Session not found'), own]);
      });
    },
    180_000,
  );
});
