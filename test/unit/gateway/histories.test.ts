import type { CopilotClient } from '@github/copilot-sdk';
import { beforeEach, expect, it, jest } from '@jest/globals';
import { encodeFrame } from '../../../src/copilot/index.ts';
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

/** The connection of a client of the SDK, of which the test says what is sent and comes. */
class FakeClient {
  readonly connection = {
    trace: (_level: number, { log }: { log: (said: object) => void }) => void (this.#log = log),
    onClose: () => undefined,
    onDispose: (listener: () => void) => void (this.dispose = listener),
  };
  readonly socket = { on: (_: string, listener: (chunk: Buffer) => void) => void (this.#receive = listener) };
  dispose = (): void => undefined;
  #receive: (chunk: Buffer) => void = () => undefined;
  #log: (said: object) => void = () => undefined;
  #lastId = 0;

  /** Returns the id of the call. */
  call(method: string, params: object = {}): number {
    this.#lastId += 1;
    this.#log({ type: 'send-request', message: { id: this.#lastId, method, params: { sessionId: 's', ...params } } });
    return this.#lastId;
  }

  answer(id: number, answer: object = { result: {} }): void {
    this.#receive(Buffer.from(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))));
    this.#log({ type: 'receive-response', message: { id, ...answer } });
  }

  done(method: string, params: object = {}): void {
    this.answer(this.call(method, params));
  }

  tell(...events: (Event | undefined)[]): void {
    for (const each of events) {
      const message = { method: 'session.event', params: { sessionId: 's', event: each } };
      this.#log({ type: 'receive-notification', message });
    }
  }
}

const REFUSED = { error: { code: 1, message: 'no' } };

let journal: string;
let histories: Histories;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick'] });
  written(...EVENTS);
  histories = new Histories(() => journal);
});

function written(...events: readonly Event[]): void {
  journal = events.map((each) => `${JSON.stringify(each)}\n`).join('');
}

/** What is found of clients of which each does this. */
async function problems(...uses: ((client: FakeClient) => void)[]): Promise<string[]> {
  for (const use of uses) {
    const client = new FakeClient();
    await soon(histories.watch(client as unknown as CopilotClient, async () => use(client)));
    client.dispose();
  }
  return soon(histories.problems());
}

/** Lets pass what it waits for. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  await jest.advanceTimersByTimeAsync(10_000);
  return promise;
}

const says = (client: FakeClient, ...prompts: string[]) =>
  prompts.forEach((prompt) => client.done('session.send', { prompt }));
/** Makes the session, whose prompts are then in its journal. */
function makes(client: FakeClient, ...prompts: string[]): void {
  written();
  client.done('session.create');
  written(...EVENTS);
  says(client, ...prompts);
}

it('finds nothing where each acknowledged prompt is written once, and each event was seen once', async () => {
  const found = await problems((client) => {
    makes(client, 'a', 'b');
    client.answer(client.call('session.send', { prompt: 'refused' }), REFUSED);
    client.tell(...EVENTS);
  });
  expect(found).toEqual([]);
});

it('finds a prompt that is lost, and one that is written twice', async () => {
  const found = await problems((client) => {
    makes(client, 'a', 'b', 'lost');
    written(...EVENTS, event('5', 'user.message', 'a'));
    client.tell(...EVENTS, event('5', 'user.message', 'a'));
  });
  expect(found).toEqual([
    'session s: the journal has the prompt a 2 times; it was sent 1 times, and acknowledged 1 times',
    'session s: the journal has the prompt lost 0 times; it was sent 1 times, and acknowledged 1 times',
  ]);
});

it('takes a prompt that was not acknowledged for written or not', async () => {
  const found = await problems((client) => {
    makes(client);
    const ids = ['a', 'b', 'c'].map((prompt) => client.call('session.send', { prompt }));
    client.tell(...EVENTS);
    for (const id of ids) client.answer(id, REFUSED);
  });
  expect(found).toEqual([]);
});

it('finds an event that who made the session has not seen, and one that came twice', async () => {
  const found = await problems((client) => {
    makes(client, 'a', 'b');
    client.tell(...[3, 4, 4].map((index) => EVENTS[index]));
  });
  expect(found).toEqual([
    'session s: the event user.message 1 did not come',
    'session s: the event assistant.message 2 did not come',
    'session s: 1 events came twice: assistant.message',
  ]);
});

it('has who attaches later see all from its first event on, until it leaves', async () => {
  const found = await problems((client) => {
    client.done('session.resume');
    client.tell(EVENTS[2]);
  });
  expect(found).toEqual([
    'session s: the event user.message 3 did not come',
    'session s: the event assistant.message 4 did not come',
  ]);
});

it('does not expect what comes when a client has detached, or is gone, or was refused, or may no longer use it', async () => {
  const found = await problems(
    (client) => {
      client.done('session.resume');
      client.tell(EVENTS[2]);
      client.done('session.detach');
    },
    (client) => {
      client.done('session.resume');
      client.tell(EVENTS[2]);
      client.dispose();
    },
    (client) => client.answer(client.call('session.resume'), REFUSED),
    (client) => {
      client.done('session.resume');
      client.tell(EVENTS[2]);
      const error = { code: 1, message: 'Request session.send failed with message: Session not found: s' };
      client.answer(client.call('session.send', { prompt: 'no more' }), { error });
    },
  );
  expect(found).toEqual([]);
});

it('has a client see what it is told again when it resumes once more', async () => {
  const found = await problems((client) => {
    client.done('session.resume');
    client.tell(...EVENTS.slice(2, 4));
    client.done('session.resume');
    client.tell(...EVENTS.slice(3));
  });
  expect(found).toEqual([]);
});

it('finds a call without an answer, one with two, and an answer without a call', async () => {
  const found = await problems((client) => {
    client.call('session.mode.get');
    const twice = client.call('ping');
    client.answer(twice);
    client.answer(twice);
    client.answer(7);
  });
  expect(found).toEqual([
    'an answer came that nobody had asked for, or a second time: 2',
    'an answer came that nobody had asked for, or a second time: 7',
    'a call of session.mode.get got no answer',
  ]);
});

it('does not check a session that was deleted, one that may lose something, and the half of a line', async () => {
  expect(await problems((client) => (makes(client, 'lost'), written()))).toEqual([]);
  const found = await problems((client) => {
    makes(client, 'a', 'b');
    journal += '{"id":"5","ty';
    client.tell(...EVENTS);
  });
  expect(found).toEqual([]);
  histories.mayLose('s');
  expect(await problems((client) => makes(client, 'lost'))).toEqual([]);
});

it('knows a session of the same id that is made anew', async () => {
  const found = await problems((client) => {
    makes(client, 'of before');
    client.done('session.delete');
    makes(client, 'a', 'b');
    client.tell(...EVENTS);
  });
  expect(found).toEqual([]);
});

it('takes a session that is created although it is there for one that is resumed', async () => {
  const found = await problems((client) => {
    client.done('session.create');
    client.tell(...EVENTS.slice(3));
  });
  expect(found).toEqual([]);
});

it('does not expect the error that a server writes because it stops, and expects any other one', async () => {
  const next = [event('7', 'session.resume'), event('8', 'user.message', 'c'), event('9', 'session.error')];
  const found = await problems((client) => {
    makes(client, 'a', 'b', 'c');
    const last = event('10', 'assistant.message');
    written(...EVENTS, event('5', 'session.shutdown'), event('6', 'session.error'), ...next, last);
    client.tell(...EVENTS, ...next.slice(0, 2), last);
  });
  expect(found).toEqual(['session s: the event session.error 9 did not come']);
});
