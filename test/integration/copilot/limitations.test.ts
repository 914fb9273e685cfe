// A real Copilot CLI server that lacks one method: what the pinger and the survey know of it all the same.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { Pinger } from '../../../src/servers/health/pinger.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { chat } from '../../support/chat.ts';
import { cliVersion } from '../../support/copilot-binary.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { TestModel } from '../../support/model.ts';
import { RefusingProxy } from '../../support/refusing-proxy.ts';
import { serverTarget } from '../../support/servers.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const token = 'f3b1c0ffee';
const KEY = 'team/acme-0';
const socketsBefore = openSockets();

describe.each(['cli', 'runtime'] as const)('a real server (%s) that lacks', (binary) => {
  let server: CopilotServer;
  let model: TestModel;
  let sessionId: string;

  beforeAll(async () => {
    model = await TestModel.start();
    server = await CopilotServer.start(binary, token);
    ({ sessionId } = await chat(model.bind(server, token), { prompt: 'hello' }));
  }, 120_000);
  afterAll(async () => {
    model[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    await socketsLeft(socketsBefore);
  });

  it.each<[string, object | undefined]>([
    ['status.get', { labels: {}, usage: { turns: 1 } }],
    ['ping', { labels: {}, usage: { turns: 1 } }],
    ['sessions.getSizes', { sizeBytes: 0, labels: {}, usage: { turns: 1 } }],
    ['sessions.readPersistedEvents', { labels: {}, usage: undefined }],
    ['sessions.getClientMetadata', { labels: undefined, usage: { turns: 1 } }],
    ['sessions.list', undefined],
  ])(
    '%s is Healthy, is surveyed for the rest, and keeps its connection',
    async (method, expected) => {
      await using proxy = await RefusingProxy.start(server);
      proxy.refused.set(method, -32_601);
      const servers = new ServerRegistry({ clock: systemClock, random: Math.random });
      try {
        const log = { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() };
        const pinger = new Pinger({ servers, log });
        const survey = new Survey({ servers, log, labelKeys: ['owner'] });
        survey.watch(KEY, sessionId);
        const { host, port } = proxy;
        const health = { intervalMs: 1000, timeoutMs: 900, failureThreshold: 2 };
        servers.set(serverTarget({ key: KEY, host, port, token, health, startedAt: 0 }));
        const found = await waitFor('it is reported with what it lacks', () => {
          const state = pinger.get(KEY);
          const isSurveyed = survey.get(KEY) !== undefined || survey.limitations(KEY).length > 0;
          return state.state === 'Healthy' && state.lacks !== undefined && isSurveyed ? state : undefined;
        });
        expect(found).toMatchObject({
          version: method === 'status.get' ? undefined : cliVersion(),
          lacks: [method],
        });
        const facts = survey.get(KEY)?.sessions.get(sessionId);
        if (expected === undefined)
          expect([survey.get(KEY), survey.limitations(KEY)]).toEqual([undefined, [{ method, code: -32_601 }]]);
        else expect(facts).toMatchObject(expected);
        expect(servers.get(KEY)?.connection.client?.isOpen).toBe(true);
      } finally {
        servers.close();
      }
    },
    30_000,
  );
});
