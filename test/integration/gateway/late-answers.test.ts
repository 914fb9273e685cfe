// Answers to what a session has asked that are given twice, or after its server was lost, to both real servers: one of them counts, whoever gave
// another one is told so, and the turn ends once.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RawCalls } from '../../support/raw-calls.ts';
import { RelayBench, toolCall } from '../../support/relay-bench.ts';
import { waitFor } from '../../support/wait.ts';

const PERMISSION = 'session.permissions.handlePendingPermissionRequest';
const TOOL = 'session.tools.handlePendingToolCall';
const done = { text: 'done' };
const bash = toolCall('bash', { command: 'echo ran >> runs; wc -l < runs', description: 'x' });
const lookup = { name: 'lookup', description: 'x', parameters: { type: 'object', properties: {} } };

interface Event {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

describe.each(['cli', 'runtime'] as const)('an answer (%s)', (binary) => {
  let bench: RelayBench;
  let client: RawCalls;

  beforeEach(async () => {
    bench = await RelayBench.start(binary, { detachAfterMs: 500 });
    client = await open();
  }, 120_000);
  afterEach(async () => {
    client[Symbol.dispose]();
    await bench[Symbol.asyncDispose]();
  });

  function open(): Promise<RawCalls> {
    const { host, port, token } = bench.binding;
    return RawCalls.open({ host, port, token });
  }

  function eventsOf({ unasked }: RawCalls, type: string): Event[] {
    const events = unasked.flatMap(({ method, params }) =>
      method === 'session.event' ? [params?.['event'] as Event] : [],
    );
    return events.filter((event) => event.type === type);
  }

  /** A session whose turn waits for its client, and the id of what it has asked. */
  async function asking(type: string, word: string): Promise<{ sessionId: string; requestId: unknown }> {
    const { model, provider } = bench.binding;
    const made = { model, provider, requestPermission: true, tools: [lookup] };
    const { sessionId } = (await client.result('session.create', made)) as { sessionId: string };
    await client.result('session.send', { sessionId, prompt: word });
    if (type !== 'permission.requested') await allow(sessionId);
    const asked = await waitFor(`${type} comes`, () => eventsOf(client, type)[0]);
    return { sessionId, requestId: asked.data['requestId'] };
  }

  /** Allows the tool of the client. */
  async function allow(sessionId: string): Promise<void> {
    const asked = await waitFor('it is asked for', () => eventsOf(client, 'permission.requested')[0]);
    const { requestId } = asked.data;
    expect(await give(client, PERMISSION, { sessionId, requestId }, approve)).toBe(true);
  }

  /** What the server, or the gateway, says to the answer. */
  const give = (who: RawCalls, method: string, ids: object, result: unknown) =>
    who.result(method, { ...ids, result }).then(({ success }) => success);
  const approve = { kind: 'approve-once' };
  const reject = { kind: 'reject' };

  /**
   * The turn ends, once, with one answer that counted, and afterwards nothing is kept of it. `late`: what is tried before that, when it has
   * ended.
   */
  async function endsOnce(
    sessionId: string,
    word: string,
    completed: string,
    late: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    const idles = () => eventsOf(client, 'session.idle').length;
    await waitFor('the turn ends', () => idles() > 0, { withinMs: 60_000 });
    await bench.asked(word, 2);
    await late();
    // Whatever a late answer does, it does before what is asked after it.
    expect((await client.result('session.metadata.activity', { sessionId }))['hasActiveWork']).toBe(false);
    expect(idles()).toBe(1);
    expect(eventsOf(client, 'session.error')).toEqual([]);
    const { events } = (await client.result('session.getMessages', { sessionId })) as unknown as { events: Event[] };
    const counts = ['user.message', completed, 'tool.execution_complete'].map(
      (type) => events.filter((event) => event.type === type).length,
    );
    expect(counts).toEqual([1, 1, 1]);
    expect(await bench.model.requests(word)).toHaveLength(2);
    await client.result('session.detach', { sessionId });
    await waitFor('nothing of it is kept', () => bench.gateway.snapshot.sessions.length === 0);
  }

  async function replaced(): Promise<void> {
    await bench.server.kill();
    await bench.server.start();
  }

  /** Kills the server when its journal has what it has asked, and starts the next one. */
  async function replacedWhileAsking(sessionId: string, type: string): Promise<void> {
    await waitFor('it is on the disk', () => bench.server.journalOf(sessionId).includes(`"type":"${type}"`));
    await replaced();
  }

  it('to a permission that is given twice counts once, and the second one is told so', async () => {
    const word = await bench.answer(bash, done);
    const { sessionId, requestId } = await asking('permission.requested', word);
    const ids = { sessionId, requestId };
    const given = await Promise.all([approve, reject].map((result) => give(client, PERMISSION, ids, result)));
    expect(given).toEqual([true, false]);
    await endsOnce(sessionId, word, 'permission.completed', async () => {
      expect(await give(client, PERMISSION, ids, reject)).toBe(false);
    });
    expect(await bench.toolResults(word)).toMatch(/^1\n/);
  }, 120_000);

  it('to a permission that was asked by a server that is lost reaches the next one, once', async () => {
    const word = await bench.answer(bash, done);
    const { sessionId, requestId } = await asking('permission.requested', word);
    await replacedWhileAsking(sessionId, 'permission.requested');
    const given = [approve, reject].map((result) => give(client, PERMISSION, { sessionId, requestId }, result));
    expect(await Promise.all(given)).toEqual([true, false]);
    await endsOnce(sessionId, word, 'permission.completed');
    expect(await bench.toolResults(word)).toMatch(/^1\n/);
  }, 120_000);

  it('to a permission that two clients give while the server is away is that of the first', async () => {
    using other = await open();
    const word = await bench.answer(bash, done);
    const { sessionId, requestId } = await asking('permission.requested', word);
    await other.result('session.resume', { sessionId, requestPermission: true });
    await waitFor('it is on the disk', () => bench.server.journalOf(sessionId).includes('permission.requested'));
    await bench.server.kill();
    const first = give(client, PERMISSION, { sessionId, requestId }, reject);
    const second = give(other, PERMISSION, { sessionId, requestId }, approve);
    await bench.server.start();
    expect(new Set(await Promise.all([first, second]))).toEqual(new Set([false, true]));
    await other.result('session.detach', { sessionId });
    await endsOnce(sessionId, word, 'permission.completed');
  }, 120_000);

  it('to a permission that the lost server had taken counts at the next one, and what is said after it does not', async () => {
    const word = await bench.answer(bash, done, done);
    const { sessionId, requestId } = await asking('permission.requested', word);
    await waitFor('it is on the disk', () => bench.server.journalOf(sessionId).includes('permission.requested'));
    const ids = { sessionId, requestId };
    expect(await give(client, PERMISSION, ids, reject)).toBe(true);
    expect(await give(client, PERMISSION, ids, approve)).toBe(false);
    await replaced();
    expect(await give(client, PERMISSION, ids, approve)).toBe(false);
    await waitFor('the turn ends', () => eventsOf(client, 'session.idle').length > 0, { withinMs: 60_000 });
    expect(eventsOf(client, 'session.idle')).toHaveLength(1);
    expect(await bench.toolResults(word)).not.toMatch(/\d\n/);
  }, 120_000);

  it('to a call of a tool that is given to the next server, twice, counts once', async () => {
    const word = await bench.answer(toolCall('lookup', {}), done);
    const { sessionId, requestId } = await asking('external_tool.requested', word);
    await replacedWhileAsking(sessionId, 'external_tool.requested');
    const given = ['first', 'second'].map((result) => give(client, TOOL, { sessionId, requestId }, result));
    expect(await Promise.all(given)).toEqual([true, false]);
    await endsOnce(sessionId, word, 'external_tool.completed');
    expect(await bench.toolResults(word)).toContain('first');
    expect(await bench.toolResults(word)).not.toContain('second');
  }, 120_000);
});
