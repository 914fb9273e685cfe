import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, ProtocolError, WRITE_CHECK_ID, findWriteError } from '../../../src/copilot/index.ts';
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

const calls = () => server.received.flatMap(({ method }) => (method === 'connect' ? [] : (method ?? [])));
/** The server cannot lock an id, and answers `session.create` with this error; undefined: it succeeds. */
function cannotLock(error?: string): void {
  server.answers['sessions.bulkDelete'] = () => ({ result: { freedBytes: {} } });
  server.answers['session.create'] = () =>
    error === undefined ? { result: { sessionId: WRITE_CHECK_ID } } : { error: { code: -32_603, message: error } };
  server.answers['session.delete'] = () => ({ result: { success: true } });
}

describe('whether a server can write to its volume', () => {
  it('is known from one call while it can', async () => {
    expect(await findWriteError(connection, options)).toBeUndefined();
    expect(calls()).toEqual(['sessions.bulkDelete']);
  });

  // As both programs answer; the prefix is the CLI's.
  it.each([
    ['session construction failed: EACCES: Permission denied (os error 13)', 'EACCES'],
    ['Request session.create failed with message: session construction failed: EROFS: Read-only file system', 'EROFS'],
    ['session construction failed: EPERM: Operation not permitted (os error 1)', 'EPERM'],
  ])('is confirmed by the creation of a session: %s', async (message, code) => {
    cannotLock(message);
    expect(await findWriteError(connection, options)).toBe(code);
    expect(calls()).toEqual(['sessions.bulkDelete', 'session.create']);
  });

  it.each(['Not authenticated', 'session construction failed: ENOSPC: No space left on device (os error 28)'])(
    'is not concluded from another error: %s',
    async (message) => {
      cannotLock(message);
      expect(await findWriteError(connection, options)).toBeUndefined();
    },
  );

  it('is not concluded from the hint alone, and the session that was created is deleted', async () => {
    cannotLock();
    expect(await findWriteError(connection, options)).toBeUndefined();
    expect(calls()).toEqual(['sessions.bulkDelete', 'session.create', 'session.delete']);
  });

  it('is unknown of a version that lacks the method, in which nothing is created', async () => {
    delete server.answers['sessions.bulkDelete'];
    expect(await findWriteError(connection, options)).toBeUndefined();
    expect(calls()).toEqual(['sessions.bulkDelete']);
  });

  it.each([[{}], [{ freedBytes: [] }], [{ freedBytes: 'none' }]])('is not read from %j', async (result) => {
    server.answers['sessions.bulkDelete'] = () => ({ result });
    await expect(findWriteError(connection, options)).rejects.toThrow(ProtocolError);
    expect(calls()).toEqual(['sessions.bulkDelete']);
  });
});
