// Applications that chat without a pause until the standard input ends: `node clients.ts BINDING CLIENTS MODEL`, with the binding as JSON and the URL of
// the test model. Prints a line of JSON twice a second, and the result as the last one. A process of its own, because the SDK leaves a
// rejection unhandled when it writes to a connection that was closed a moment before, and that ends a test.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Binding } from '../support/chat.ts';
import { isClosed, SteadyClient, type Slow } from '../support/steady-client.ts';

/** How far the clients are. */
export interface Progress {
  /** By client. */
  readonly answered: readonly number[];
  readonly errors: readonly string[];
  /** What each waits for. */
  readonly doing: readonly string[];
}

/** What came of it. */
export interface Result {
  readonly errors: readonly string[];
  readonly tookMs: readonly number[];
  readonly slowest: readonly Slow[];
  readonly closed: number;
}

process.on('unhandledRejection', (error) => {
  if (!isClosed(error)) throw error;
});

const [binding = '', count = '', model = ''] = process.argv.slice(2);
const print = (line: Progress | Result): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
let turn = 0;

/** A prompt that is answered at once or, every second time, in pieces. */
async function nextPrompt(): Promise<string> {
  const prompt = randomUUID();
  if (turn++ % 2 === 0) {
    const pieces = { text: `one two three ${prompt}`, delayMs: 100, chunks: 4 };
    // More than one turn needs, for one that begins again on another server.
    const body = JSON.stringify({ match: prompt, steps: [pieces, pieces, pieces] });
    const { ok } = await fetch(`${model}/script`, { method: 'POST', body });
    if (!ok) throw new Error('the test model refused the rule');
  }
  return prompt;
}

const clients = await Promise.all(
  Array.from({ length: Number(count) }, () => SteadyClient.start(JSON.parse(binding) as Binding)),
);
const stop = new AbortController();
const chats = clients.map((client) => client.run(nextPrompt, stop.signal));
const timer = setInterval(
  () =>
    print({
      answered: clients.map(({ answered }) => answered),
      errors: clients.flatMap(({ errors }) => errors),
      doing: clients.map(({ doing }) => doing),
    }),
  500,
);
process.stdin.resume();
await once(process.stdin, 'end');
stop.abort();
await Promise.all(chats);
clearInterval(timer);
print({
  errors: clients.flatMap(({ errors }) => errors),
  tookMs: clients.flatMap(({ tookMs }) => tookMs),
  slowest: clients.flatMap(({ slowest }) => slowest),
  closed: clients.reduce((sum, client) => sum + client.closed, 0),
});
await Promise.all(clients.map((client) => client.stop()));
