// A session whose creation is cut, as by a guard that is killed, and that the next guard has closed: no server has it in memory then.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as passes } from 'node:timers/promises';
import { CopilotServer } from '../../support/copilot-server.ts';
import { TestModel } from '../../support/model.ts';
import { RawCalls } from '../../support/raw-calls.ts';
import type { RawMessage } from '../../support/raw-client.ts';
import { waitFor } from '../../support/wait.ts';

const TOKEN = 'f3b1c0ffee';
/** Each is cut a little later. */
const TRIES = 40;
const STEP_MS = 3;

describe.each(['cli', 'runtime'] as const)('a session that was closed behind its creation (%s)', (binary) => {
  let model: TestModel;
  let cli: CopilotServer;

  beforeAll(async () => {
    model = await TestModel.start();
    cli = await CopilotServer.start(binary, TOKEN);
  }, 120_000);
  afterAll(async () => {
    await cli[Symbol.asyncDispose]();
    model[Symbol.dispose]();
  });

  const open = () => RawCalls.open({ host: '127.0.0.1', port: cli.port, token: TOKEN });
  const params = () => {
    const { model: name, provider } = model.bind({ host: '127.0.0.1', port: 1 }, TOKEN);
    return { model: name, provider, requestPermission: true };
  };

  it('is not in memory, however late a session.create is cut', async () => {
    const ids = Array.from({ length: TRIES }, (_, index) => `cut-${index}`);
    using calls = await open();
    for (const [index, sessionId] of ids.entries()) {
      const cut = await open();
      // Mostly there is no answer.
      void cut.call('session.create', { sessionId, ...params() }, 5000).catch(() => undefined);
      await passes(index * STEP_MS);
      cut[Symbol.dispose]();
      await calls.result('sessions.close', { sessionId });
    }
    // A load that has begun before is over when another one and its turn are.
    await calls.result('session.create', { sessionId: 'last', ...params() });
    await calls.result('session.send', { sessionId: 'last', prompt: 'hello' });
    const isIdle = ({ params: told }: RawMessage): boolean =>
      (told?.['event'] as { readonly type: string } | undefined)?.type === 'session.idle';
    await waitFor('the turn has ended', () => calls.unasked.some(isIdle), { withinMs: 60_000 });
    const loaded: string[] = [];
    for (const sessionId of [...ids, 'last'])
      if ((await calls.call('session.metadata.activity', { sessionId })).message.error === undefined)
        loaded.push(sessionId);
    expect(loaded).toEqual(['last']);
  }, 120_000);
});
