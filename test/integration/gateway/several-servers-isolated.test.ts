// Users who are kept apart, in a Shared tenant with two servers, both real ones: each finds the own sessions on whichever server they are, also by a gateway
// that was started later, and what a stranger gets for those of others is what an unknown id gets.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withClient } from '../../support/chat.ts';
import { GatewayInProcess, bindingTokenFor } from '../../support/gateway.ts';
import { RawCalls } from '../../support/raw-calls.ts';
import { RelayBench } from '../../support/relay-bench.ts';

describe.each(['cli', 'runtime'] as const)('users of two servers (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.startSeveral(2, binary, {}, { isolation: 'Shared' });
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const placesOf = (sessionId: string): number[] =>
    bench.servers.flatMap(({ sessionState }, index) => (existsSync(join(sessionState, sessionId)) ? [index] : []));

  /** Ids of sessions of the user, one on each server. */
  function spread(user: string): Promise<[string, string]> {
    return bench.clientOf(user, async (client) => {
      const found = new Map<number, string>();
      while (found.size < 2) {
        const session = await client.createSession(bench.config());
        await session.sendAndWait({ prompt: `said by ${user}` });
        const [place = -1, ...others] = placesOf(session.sessionId);
        expect(others).toEqual([]);
        found.set(place, session.sessionId);
      }
      return [found.get(0) ?? '', found.get(1) ?? ''];
    });
  }

  const listed = (user: string) =>
    bench.clientOf(user, async (client) => (await client.listSessions()).map(({ sessionId }) => sessionId));

  it('each lists and goes on with the own sessions of both, also by a gateway that was started later', async () => {
    const hers = await spread('alice');
    const his = await spread('bob');
    expect(await listed('alice')).toEqual(expect.arrayContaining(hers));
    for (const id of his) expect(await listed('alice')).not.toContain(id);
    await using later = await GatewayInProcess.start({ isolation: 'Shared', token: bench.token });
    later.fleet.serve(bench.servers.map(({ host, port }) => ({ host, port })));
    await withClient({ ...bench.binding, port: later.port, token: bindingTokenFor('alice') }, async (alice) => {
      for (const id of hers) {
        const session = await alice.resumeSession(id, bench.config());
        expect((await session.sendAndWait({ prompt: `again ${id}` }))?.data.content).toContain(`again ${id}`);
        expect(placesOf(id)).toHaveLength(1);
      }
      for (const id of his) await expect(alice.resumeSession(id, bench.config())).rejects.toThrow(`not found: ${id}`);
    });
  }, 120_000);

  it('a stranger gets for each of them what an unknown id gets, and they stay as they were', async () => {
    const hers = await spread('alice');
    const unknown = hers[0].replaceAll(/[0-9a-f]/g, '0');
    const { host, port } = bench.binding;
    using bob = await RawCalls.open({ host, port, token: bindingTokenFor('bob') });
    const methods = ['session.resume', 'session.send', 'session.getMessages', 'session.abort', 'session.delete'];
    const answered = async (method: string, sessionId: string): Promise<string> => {
      const { message } = await bob.call(method, { sessionId, prompt: 'let me see' });
      return JSON.stringify({ ...message, id: 0 }).replaceAll(sessionId, 'ID');
    };
    for (const method of methods) {
      const expected = await answered(method, unknown);
      for (const id of hers) expect([method, await answered(method, id)]).toEqual([method, expected]);
    }
    await bench.clientOf('alice', async (alice) => {
      for (const id of hers) {
        const events = await (await alice.resumeSession(id, bench.config())).getEvents();
        const said = events.flatMap((event) => (event.type === 'user.message' ? [event.data.content] : []));
        expect(said).toEqual(['said by alice']);
      }
    });
  }, 120_000);
});
