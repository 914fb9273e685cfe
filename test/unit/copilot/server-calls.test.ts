import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, ProtocolError, getServerTime } from '../../../src/copilot/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../support/fake-network.ts';

const options = { timeoutMs: 1000 };
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

/** Makes the server answer `method` with `result`. */
function answer(method: string, result: unknown): void {
  server.answers[method] = () => ({ result });
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
