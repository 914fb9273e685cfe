// A tenant that is deleted while its clients work, with both real servers: whatever waits gets one answer, and then nothing is left.
import { CopilotClient, RuntimeConnection, type CopilotSession } from '@github/copilot-sdk';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RawCalls, type RawAnswer } from '../../support/raw-calls.ts';
import { RelayBench } from '../../support/relay-bench.ts';
import { TENANT } from '../../support/static-fleet.ts';
import { waitFor } from '../../support/wait.ts';

const slow = { text: 'and so on '.repeat(100), delayMs: 200, chunks: 100 };
const NOT_SENT = { code: -32050, data: { retryable: true, outcome: 'NotSent' } };

describe.each(['cli', 'runtime'] as const)('a tenant that is deleted (%s)', (binary) => {
  let bench: RelayBench;

  beforeEach(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterEach(() => bench[Symbol.asyncDispose]());

  const open = (): Promise<RawCalls> => {
    const { host, port, token } = bench.binding;
    return RawCalls.open({ host, port, token });
  };

  /** A session whose turn runs, and the id of the client's next call. */
  async function inTurn(client: RawCalls): Promise<string> {
    const { model, provider } = bench.binding;
    const { sessionId } = (await client.result('session.create', { model, provider })) as { sessionId: string };
    const word = await bench.answer(slow);
    await client.result('session.send', { sessionId, prompt: word });
    await bench.asked(word);
    return sessionId;
  }

  /** Calls that wait, of which `known` have been read. The tenant is deleted; resolves with their answers, of which each has one. */
  async function deleted(known: number, ...calls: Promise<RawAnswer>[]): Promise<unknown[]> {
    const waits = () => bench.gateway.snapshot.clients.reduce((sum, each) => sum + each.calls, 0) >= known;
    await waitFor('the calls wait', waits);
    bench.gateway.fleet.delete();
    return (await Promise.all(calls)).map(({ message }) => message.error);
  }

  /** Nothing is kept, and the server is not connected to. */
  async function nothingIsLeft(): Promise<void> {
    const { gateway } = bench;
    await waitFor('its clients are gone', () => gateway.snapshot.clients.length === 0);
    expect([gateway.snapshot.sessions, gateway.isConnected]).toEqual([[], false]);
    expect(await bench.cut('CredentialRevoked')).toBeGreaterThan(0);
  }

  it('answers prompts that wait for the turn of another client, and ends that turn', async () => {
    using first = await open();
    using second = await open();
    const sessionId = await inTurn(first);
    await second.result('session.resume', { sessionId });
    const send = (prompt: string) => second.call('session.send', { sessionId, prompt });
    expect(await deleted(2, send('second'), send('third'))).toMatchObject([NOT_SENT, NOT_SENT]);
    const ends = () =>
      first.unasked.flatMap(({ params }) => {
        const { type } = (params?.['event'] ?? {}) as { type?: string };
        return type === 'session.error' || type === 'session.idle' ? [type] : [];
      });
    await waitFor('the turn ends', () => ends().length === 2);
    expect(ends()).toEqual(['session.error', 'session.idle']);
    await nothingIsLeft();
  }, 120_000);

  it('answers what waits for the drain of its server', async () => {
    using first = await open();
    using second = await open();
    await inTurn(first);
    const timeoutMs = 300_000;
    const podUID = bench.gateway.fleet.find(TENANT)?.servers[0]?.podUID ?? '';
    bench.gateway.fleet.change({ drains: [{ server: 'team/acme-0', epoch: 1, podUID, timeoutMs, comesBack: true }] });
    const { model, provider } = bench.binding;
    const calls = [1, 2, 3].map(() => second.call('session.create', { model, provider }));
    expect(await deleted(3, ...calls)).toMatchObject([NOT_SENT, NOT_SENT, NOT_SENT]);
    await nothingIsLeft();
  }, 120_000);

  it('answers what waits for its server to come back', async () => {
    using client = await open();
    const sessionId = await inTurn(client);
    await bench.server.kill();
    await waitFor('it is noticed', () => !bench.gateway.isConnected);
    const calls = [client.call('session.send', { sessionId, prompt: 'next' }), client.call('session.create', {})];
    // As long as the first one waits for the server, the others are not read.
    expect(await deleted(1, ...calls)).toMatchObject([NOT_SENT, NOT_SENT]);
    await nothingIsLeft();
  }, 120_000);

  it('lets the SDK know of a turn that is cut, which may go on elsewhere with another tenant', async () => {
    const { host, port, token } = bench.binding;
    const connection = RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token });
    const client = new CopilotClient({ connection });
    try {
      await client.start();
      const session: CopilotSession = await client.createSession(bench.config());
      const word = await bench.answer(slow);
      const turn = session.sendAndWait({ prompt: word }, 60_000);
      await bench.asked(word);
      bench.gateway.fleet.delete();
      await expect(turn).rejects.toThrow('server was lost');
      await nothingIsLeft();
    } finally {
      await client.forceStop();
    }
  }, 120_000);
});
