import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Client,
  ProtocolError,
  RpcError,
  getActivity,
  getServerTime,
  getSessionTimes,
} from '../../../src/copilot/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';

const options = { timeoutMs: 1000 };
const times = { sessionId: 's1', startTime: '2026-01-01T00:00:00Z', modifiedTime: '2026-01-02T00:00:00.5Z' };
let server: FakeServer;
let connection: Client;

beforeEach(async () => {
  const network = new FakeNetwork();
  server = network.add('acme-0');
  const timers = new FakeClock();
  connection = new Client({ host: 'acme-0', port: 4321, token: 'sesame', timers, dial: network.dial });
  await connection.open(options);
});
afterEach(() => connection.close());

/** Makes the server answer `method` with `result`, or with an error when that is a string. */
function answer(method: string, result: unknown): void {
  server.answers[method] = () =>
    typeof result === 'string'
      ? { error: { code: -32603, message: `Request ${method} failed with message: ${result}` } }
      : { result };
}

describe('the clock of a server', () => {
  it('is read from its pings, to the nanosecond that it writes', async () => {
    answer('ping', { message: 'pong', timestamp: '2026-11-26T12:13:57.725852069Z', protocolVersion: 3 });
    expect(await getServerTime(connection, options)).toBe(Date.parse('2026-11-26T12:13:57.725Z'));
  });

  it.each([[{}], [{ timestamp: 'noon' }], [{ timestamp: 5 }]])('is not read from %j', async (result) => {
    answer('ping', result);
    await expect(getServerTime(connection, options)).rejects.toThrow(ProtocolError);
  });
});

describe('the times of one session', () => {
  const method = 'sessions.getMetadata';

  it("are told without its name, which is the user's own words", async () => {
    answer(method, { session: { ...times, name: 'my words', summary: 'my words', isRemote: false } });
    expect(await getSessionTimes(connection, 's1', options)).toEqual(times);
    expect(server.received.at(-1)?.params).toEqual({ sessionId: 's1' });
  });

  it.each([[{}], [{ session: null }]])('are none when it is not there: %j', async (result) => {
    answer(method, result);
    expect(await getSessionTimes(connection, 's1', options)).toBeUndefined();
  });

  it.each([
    [{ session: 's1' }],
    [{ session: { ...times, sessionId: 's2' } }],
    [{ session: { ...times, modifiedTime: 'yesterday' } }],
  ])('are not read from %j', async (result) => {
    answer(method, result);
    await expect(getSessionTimes(connection, 's1', options)).rejects.toThrow(ProtocolError);
  });
});

describe('the activity of a session', () => {
  const method = 'session.metadata.activity';

  it.each([
    [{ abortable: true, hasActiveWork: true }, 'Active'],
    [{ abortable: false, hasActiveWork: false }, 'Loaded'],
    ['Session not found: s1', 'Unloaded'],
  ])('told by %j is %s', async (result, activity) => {
    answer(method, result);
    expect(await getActivity(connection, 's1', options)).toBe(activity);
  });

  it.each([
    [{}, ProtocolError],
    [{ hasActiveWork: 'no' }, ProtocolError],
    ['the disk is full', RpcError],
  ])('is not guessed from %j', async (result, type) => {
    answer(method, result);
    await expect(getActivity(connection, 's1', options)).rejects.toThrow(type);
  });
});
