import type { CopilotClient } from '@github/copilot-sdk';
import { beforeEach, expect, it } from '@jest/globals';
import { Histories } from '../../support/histories.ts';

type Event = { readonly id: string; readonly type: string; readonly data: { readonly content?: string } };

const event = (id: string, type: string, content?: string): Event => ({
  id,
  type,
  data: { ...(content && { content }) },
});
const EVENTS = [
  event('0', 'session.start'),
  event('1', 'user.message', 'a'),
  event('2', 'assistant.message'),
  event('3', 'user.message', 'b'),
  event('4', 'assistant.message'),
];

let tell: (event: Event) => void;
let histories: Histories;
let client: CopilotClient;

/** A client whose sessions have the id `s`, and answer each prompt but `unanswered`. */
function fakeClient(): CopilotClient {
  const session = () => ({
    sessionId: 's',
    on: (listener: (event: Event) => void) => void (tell = listener),
    send: () => Promise.resolve('id'),
    sendAndWait: async function (this: { send: (options: object) => Promise<string> }, options: { prompt: string }) {
      await this.send(options);
      if (options.prompt === 'unanswered') throw new Error('the turn was cut');
    },
  });
  const make = () => Promise.resolve(session());
  return { createSession: make, resumeSession: make } as unknown as CopilotClient;
}

beforeEach(() => {
  histories = new Histories();
  client = fakeClient();
  histories.watch(client);
});

async function chats(...prompts: string[]): Promise<void> {
  const session = await client.createSession({});
  for (const prompt of prompts) await session.sendAndWait(prompt).catch(() => undefined);
}
const problems = (journal: readonly Event[] = EVENTS) =>
  histories.problems(() => journal.map((each) => `${JSON.stringify(each)}\n`).join(''));

it('finds nothing where each answered prompt is written once, and each event was seen once', async () => {
  await chats('a', 'b', 'unanswered');
  EVENTS.forEach((each) => tell(each));
  expect(problems()).toEqual([]);
  expect(problems([...EVENTS, event('5', 'user.message', 'unanswered')])).toEqual([]);
});

it('finds a prompt that is lost, and one that is written twice', async () => {
  await chats('a', 'b', 'lost');
  EVENTS.forEach((each) => tell(each));
  const twice = [...EVENTS, event('5', 'user.message', 'a')];
  expect(problems(twice)).toEqual([
    'session s: the journal has the prompt a 2 times; it was sent 1 times, and answered 1 times',
    'session s: the journal has the prompt lost 0 times; it was sent 1 times, and answered 1 times',
  ]);
});

it('finds an event that who made the session has not seen, and one that came twice', async () => {
  await chats('a', 'b');
  for (const index of [3, 4, 4]) tell(EVENTS[index] ?? event('', ''));
  expect(problems()).toEqual([
    'session s: the event user.message 1 did not come',
    'session s: the event assistant.message 2 did not come',
    'session s: 1 events came twice',
  ]);
});

it('has who attaches later see all from its first event on', async () => {
  await client.resumeSession('s', {});
  [EVENTS[2], EVENTS[4]].forEach((each) => tell(each ?? event('', '')));
  expect(problems()).toEqual(['session s: the event user.message 3 did not come']);
});

it('does not check a session that was deleted, and the half of a line', async () => {
  await chats('a', 'b');
  expect(problems([])).toEqual([]);
  EVENTS.forEach((each) => tell(each));
  const lines = EVENTS.map((each) => JSON.stringify(each)).join('\n');
  expect(histories.problems(() => `${lines}\n{"id":"5","ty`)).toEqual([]);
});
