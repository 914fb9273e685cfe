// What a client sees before it is admitted and from `connect`: the same from the gateway as from both real servers.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect as dial } from 'node:net';
import { chat } from '../../support/chat.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { BINDING_TOKEN, GatewayInProcess } from '../../support/gateway.ts';
import { TestModel } from '../../support/model.ts';
import { RawClient, type RawMessage } from '../../support/raw-client.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const token = 'f3b1c0ffee';
const GOOD = '<good>';
const socketsBefore = openSockets();

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Sends the messages one after the other, with the place's own good token, and returns what comes back. */
async function converse(
  { host, port }: Place,
  good: string,
  messages: readonly (object | string)[],
): Promise<RawMessage[]> {
  const client = new RawClient(dial(port, host));
  try {
    for (const message of messages) {
      const expected = client.received.length + 1;
      client.send(JSON.parse(JSON.stringify(message).replaceAll(GOOD, good)) as object | string);
      await waitFor('an answer', () => client.received.length >= expected, { everyMs: 5 });
    }
    return client.received;
  } finally {
    client.stream.destroy();
  }
}

const connect = (params: object, id: number | string = 1) => ({ id, method: 'connect', params });

const CONVERSATIONS: readonly [string, readonly (object | string)[]][] = [
  ['status.get', [{ id: 's', method: 'status.get', params: {} }]],
  ['a method without parameters', [{ id: 1, method: 'session.list' }]],
  ['session.create', [{ id: 1, method: 'session.create', params: { sessionId: 'x' } }]],
  ['an unknown method', [{ id: 1, method: 'no.such', params: {} }]],
  ['connect without parameters', [{ id: 1, method: 'connect' }]],
  ['connect without a token', [connect({})]],
  ['connect with a number as token', [connect({ token: 5 })]],
  ['connect with an array as parameters', [connect([GOOD])]],
  ['connect with an empty token', [connect({ token: '' })]],
  ['connect with a wrong token, then the right one', [connect({ token: 'x' }), connect({ token: GOOD }, 2)]],
  ['connect as the Node SDK does', [connect({ token: GOOD, supportedTaskKinds: ['agent', 'client', 'shell'] })]],
  [
    'connect as the Python SDK does',
    [connect({ token: GOOD, supportedTaskKinds: ['agent', 'client', 'shell'] }, 'a-uuid')],
  ],
  ['connect without task kinds', [connect({ token: GOOD })]],
  ['connect with no task kind', [connect({ token: GOOD, supportedTaskKinds: [] })]],
  [
    'connect with an unknown task kind',
    [connect({ token: GOOD, supportedTaskKinds: ['bogus'] }), { id: 2, method: 'status.get' }],
  ],
  ['connect with an unknown field', [connect({ token: GOOD, foo: 1 })]],
  ['connect with telemetry', [connect({ token: GOOD, enableGitHubTelemetryForwarding: true })]],
  ['connect with facts of the client', [connect({ token: GOOD, clientInfo: { editorName: 'x', editorVersion: '1' } })]],
  ['connect again', [connect({ token: GOOD }), connect({ token: GOOD, supportedTaskKinds: ['client'] }, 2)]],
  [
    'connect again with a wrong token',
    [connect({ token: GOOD }), connect({ token: 'x' }, 2), { id: 3, method: 'status.get' }],
  ],
  ['an unknown method after connect', [connect({ token: GOOD }), { id: 2, method: 'no.such', params: {} }]],
  ['a batch', ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]', { id: 2, method: 'status.get' }]],
  ['an id that is null', ['{"jsonrpc":"2.0","id":null,"method":"ping","params":{}}']],
  ['an id that is an object', ['{"jsonrpc":"2.0","id":{},"method":"ping","params":{}}']],
  ['no method', ['{"jsonrpc":"2.0","id":1}']],
];

describe.each(['cli', 'runtime'] as const)('the gateway before the server (%s)', (binary) => {
  let server: CopilotServer;
  let gateway: GatewayInProcess;
  let model: TestModel;

  beforeAll(async () => {
    model = await TestModel.start();
    server = await CopilotServer.start(binary, token);
    gateway = await GatewayInProcess.start({ server, token });
  }, 90_000);
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    model[Symbol.dispose]();
    await socketsLeft(socketsBefore);
  });

  it.each(CONVERSATIONS)('answers %s as the server does', async (_, messages) => {
    const [direct, through] = await Promise.all([
      converse(server, token, messages),
      converse(gateway, BINDING_TOKEN, messages),
    ]);
    expect(through).toEqual(direct);
  });

  it('tells who does not speak JSON so, with the code of the server', async () => {
    const [direct, through] = await Promise.all([
      converse(server, token, ['{x']),
      converse(gateway, BINDING_TOKEN, ['{x']),
    ]);
    expect(through[0]).toMatchObject({ id: null, error: { code: direct[0]?.error?.code } });
  });

  it('answers ping before connect, where a server does not', async () => {
    const ping = [{ id: 1, method: 'ping', params: { message: 'hi' } }];
    expect(await converse(server, token, ping)).toMatchObject([{ error: { code: -32001 } }]);
    expect(await converse(gateway, BINDING_TOKEN, ping)).toMatchObject([
      { result: { message: 'pong: hi', protocolVersion: 3 } },
    ]);
  });

  it('lets the Node SDK chat, with the token of the binding', async () => {
    const { answer, serverVersion } = await chat(model.bind(gateway, BINDING_TOKEN), { prompt: 'hello' });
    expect(answer).toContain('You said: hello');
    expect(serverVersion).toBe('1.0.102');
  }, 60_000);

  it('refuses the Node SDK with the token of the server, which an agent can read', async () => {
    await expect(chat(model.bind(gateway, token), { prompt: 'hello' })).rejects.toThrow('AUTHENTICATION_FAILED');
    await waitFor('an audit line', () =>
      gateway.log.some(
        ({ msg, audit, reason }) => msg === 'client denied' && audit === true && reason === 'MalformedToken',
      ),
    );
    expect(JSON.stringify(gateway.log)).not.toContain(token);
  }, 60_000);
});
