// Slash commands of clients, with the Node SDK on both real servers: each runs at one client that has it, and whoever has it run is told how that ended.
import type { CopilotClient, CopilotSession, SessionConfig } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RelayBench, clientTool } from '../../support/relay-bench.ts';
import { withClient } from '../../support/chat.ts';
import { waitFor } from '../../support/wait.ts';
import { setTimeout } from 'node:timers/promises';

type Handler = NonNullable<SessionConfig['commands']>[number]['handler'];

const patiently = { withinMs: 30_000, everyMs: 20 };
const never = () => new Promise<never>(() => undefined);

describe.each(['cli', 'runtime'] as const)('a command of a client (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const mine = (handler: Handler): Partial<SessionConfig> => ({
    commands: [{ name: 'mine', description: 'x', handler }],
  });

  /** A session without commands, of a client that stays. */
  function session(use: (session: CopilotSession) => Promise<void>): Promise<void> {
    return bench.client(async (client) => use(await client.createSession(bench.config())));
  }

  /** Another client with the command joins it. */
  const join = (client: CopilotClient, { sessionId }: CopilotSession, handler: Handler) =>
    client.resumeSession(sessionId, bench.config(mine(handler)));

  const run = ({ rpc }: CopilotSession, args = '') => rpc.commands.execute({ commandName: 'mine', args });

  it('runs there with what was said after its name, whoever says it', async () => {
    const said: string[] = [];
    await session(async (other) => {
      await bench.client(async (client) => {
        const own = await join(client, other, ({ args }) => void said.push(args));
        await own.rpc.commands.invoke({ name: 'mine', input: 'by itself' });
        await other.rpc.commands.invoke({ name: '/mine', input: 'by the other' });
        expect(await run(other, 'once more')).toEqual({});
      });
    });
    expect(said).toEqual(['by itself', 'by the other', 'once more']);
  }, 60_000);

  it('that two have runs once, at the one that came last, and at the other one when that has left', async () => {
    const ran: string[] = [];
    await bench.client(async (one) => {
      const first = await one.createSession(bench.config(mine(() => void ran.push('first'))));
      await bench.client(async (other) => {
        const second = await join(other, first, () => void ran.push('second'));
        expect(await run(first)).toEqual({});
        expect(await run(second)).toEqual({});
        await second.disconnect();
        expect(await run(first)).toEqual({});
      });
    });
    expect(ran).toEqual(['second', 'second', 'first']);
  }, 60_000);

  it('that fails is told to whom has it run', async () => {
    await session(async (other) => {
      await bench.client(async (client) => {
        await join(client, other, () => {
          throw new Error('not today');
        });
        expect((await run(other)).error).toContain('not today');
      });
    });
  }, 60_000);

  /** A client with the command joins the session, and is lost when the command is under way. */
  async function lostWith(other: CopilotSession): Promise<{ readonly answered: ReturnType<typeof run> }> {
    const before = await bench.clients();
    const answered = await withClient(bench.binding, async (client) => {
      const { promise: called, resolve } = Promise.withResolvers<void>();
      await join(client, other, () => {
        resolve();
        return never();
      });
      const answer = run(other, 'to whoever is there');
      await called;
      await client.forceStop();
      return { answer };
    });
    await waitFor('the gateway has noticed', async () => (await bench.clients()) === before, patiently);
    return { answered: answered.answer };
  }

  it('whose client is lost in the middle runs at another one that has it', async () => {
    const said: string[] = [];
    await bench.client(async (client) => {
      const other = await client.createSession(bench.config(mine(({ args }) => void said.push(args))));
      const { answered } = await lostWith(other);
      expect(await answered).toEqual({});
    });
    expect(said).toEqual(['to whoever is there']);
  }, 60_000);

  it('whose client is lost in the middle fails if nobody else has it, and the next one runs', async () => {
    const said: string[] = [];
    await session(async (other) => {
      const { answered } = await lostWith(other);
      expect((await answered).error).toBe('No client has this command.');
      await bench.client(async (client) => {
        await join(client, other, ({ args }) => void said.push(args));
        expect(await run(other, 'to the next')).toEqual({});
      });
    });
    expect(said).toEqual(['to the next']);
  }, 60_000);

  /** Clients attach and leave while a call of the session waits for a client; `finish` has that answer. */
  async function amid<T>(
    { sessionId }: CopilotSession,
    call: () => Promise<T>,
    isAsked: Promise<void>,
    finish: () => void,
  ): Promise<T> {
    const tools = [clientTool('lookup', () => 'found')];
    return bench.client(async (leaver) => {
      const left = await leaver.resumeSession(sessionId, bench.config({ tools }));
      return bench.client(async (comer) => {
        const answered = call();
        await isAsked;
        const leaving = left.disconnect();
        const attaching = comer.resumeSession(sessionId, bench.config());
        // The gateway has both by then.
        await Promise.all([leaver.getStatus(), comer.getStatus()]);
        finish();
        const result = await answered;
        await leaving;
        expect((await (await attaching).sendAndWait({ prompt: 'after' }))?.data.content).toContain('after');
        return result;
      });
    });
  }

  it('ends, and its session goes on, when clients attach and leave while it runs', async () => {
    const { promise: isAsked, resolve: asked } = Promise.withResolvers<void>();
    const { promise: end, resolve: finish } = Promise.withResolvers<void>();
    await session(async (other) => {
      await bench.client(async (client) => {
        await join(client, other, async () => {
          asked();
          await end;
        });
        expect(await amid(other, () => run(other), isAsked, finish)).toEqual({});
      });
    });
  }, 60_000);

  it('is no more than an elicitation is: that ends, too, when clients attach and leave meanwhile', async () => {
    const { promise: isAsked, resolve: asked } = Promise.withResolvers<void>();
    const { promise: end, resolve: finish } = Promise.withResolvers<void>();
    const answer = { action: 'accept' as const, content: { a: 1 } };
    const onElicitationRequest = async () => {
      asked();
      await end;
      return answer;
    };
    await bench.client(async (client) => {
      const own = await client.createSession(bench.config({ onElicitationRequest }));
      const requestedSchema = { type: 'object' as const, properties: { a: { type: 'number' as const } } };
      const ask = () => own.ui.elicitation({ message: 'm', requestedSchema });
      expect(await amid(own, ask, isAsked, finish)).toEqual(answer);
    });
  }, 60_000);

  it.each([
    ['left', (_: CopilotClient, session: CopilotSession) => session.disconnect()],
    ['been lost', (client: CopilotClient) => client.forceStop()],
  ])(
    'whose client has %s fails at once, although the server may still have it',
    async (_, leave) => {
      await session(async (other) => {
        const before = await bench.clients();
        await withClient(bench.binding, async (client) => {
          const own = await join(client, other, () => undefined);
          expect(await run(other)).toEqual({});
          await leave(client, own);
        });
        await waitFor('the gateway has noticed', async () => (await bench.clients()) === before, patiently);
        expect((await run(other)).error).toMatch(/^No client (has this command\.|found for command: mine)$/);
      });
    },
    60_000,
  );

  it('runs at whatever moment, while others attach and leave', async () => {
    await bench.client(async (one) => {
      const first = await one.createSession(bench.config(mine(() => undefined)));
      await bench.client(async (other) => {
        // Of these moments some are while the server is told of it.
        for (const afterMs of [0, 1, 2, 3, 4, 6, 8, 12, 16, 24]) {
          const joining = join(other, first, () => undefined);
          await setTimeout(afterMs);
          expect(await run(first)).toEqual({});
          const leaving = (await joining).disconnect();
          await setTimeout(afterMs);
          expect(await run(first)).toEqual({});
          await leaving;
        }
      });
    });
  }, 60_000);

  it('whose server is lost in the middle may have run; the next one runs', async () => {
    let calls = 0;
    await session(async (other) => {
      await other.sendAndWait({ prompt: 'before' });
      await bench.client(async (client) => {
        await join(client, other, async () => {
          calls += 1;
          if (calls > 1) return;
          await bench.server.kill();
          await bench.server.start();
        });
        await expect(run(other)).rejects.toMatchObject({ code: -32050, data: { outcome: 'Unknown' } });
        expect(await run(other)).toEqual({});
      });
    });
    expect(calls).toBe(2);
  }, 60_000);
});
