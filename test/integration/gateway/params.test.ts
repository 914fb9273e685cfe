// What the gateway refuses because of a parameter, with both real servers: that it would do harm, and that it harms nobody else.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withClient } from '../../support/chat.ts';
import { RelayBench, request } from '../../support/relay-bench.ts';

describe.each(['cli', 'runtime'] as const)('a refused parameter (%s)', (binary) => {
  let bench: RelayBench;
  /** Where a client would like to have its session. */
  let elsewhere: string;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
    elsewhere = mkdtempSync(join(tmpdir(), 'copilot-operator-config-'));
  }, 90_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    rmSync(elsewhere, { recursive: true, force: true });
  });

  const ids = async (client: { listSessions: () => Promise<{ sessionId: string }[]> }) =>
    (await client.listSessions()).map(({ sessionId }) => sessionId);

  it('would hide a session from its server’s list, and put it outside of the volume', async () => {
    const word = await bench.answer({ text: 'done' });
    const direct = { ...bench.binding, port: bench.server.port, token: bench.token };
    await withClient(direct, async (client) => {
      const config = bench.config({ sessionId: 'hidden', configDirectory: elsewhere });
      await (await client.createSession(config)).sendAndWait({ prompt: word });
      expect(await ids(client)).not.toContain('hidden');
    });
    expect(existsSync(join(elsewhere, 'session-state/hidden/events.jsonl'))).toBe(true);
    expect(existsSync(join(bench.server.sessionState, 'hidden'))).toBe(false);
  }, 60_000);

  it('is named in the error of the SDK, and the same session without it is made', async () => {
    const word = await bench.answer({ text: 'done' });
    await bench.client(async (client) => {
      const config = bench.config({ sessionId: 'found', configDirectory: elsewhere });
      await expect(client.createSession(config)).rejects.toMatchObject({
        code: -32602,
        message: expect.stringContaining('"configDir" of session.create is refused by the rule SessionPlace'),
        data: { rule: 'SessionPlace', parameter: 'configDir' },
      });
      const session = await client.createSession(bench.config({ sessionId: 'found' }));
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
      expect(await ids(client)).toContain('found');
    });
    expect(existsSync(join(elsewhere, 'session-state/found'))).toBe(false);
  }, 60_000);

  it('of a call in a session leaves the session as it was', async () => {
    const word = await bench.answer({ text: 'done' });
    await bench.client(async (client) => {
      const session = await client.createSession(bench.config());
      const { sessionId } = session;
      const update = request(client, 'session.options.update', { sessionId, copilotUrl: 'http://127.0.0.1:1' });
      await expect(update).rejects.toMatchObject({ code: -32602, data: { rule: 'KeyDestination' } });
      expect((await session.sendAndWait({ prompt: word }))?.data.content).toBe('done');
    });
    expect(await bench.gateway.metric('copilot_gateway_refused_parameters_total', { rule: 'KeyDestination' })).toBe(1);
  }, 60_000);
});
