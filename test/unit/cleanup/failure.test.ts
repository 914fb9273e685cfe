import { describe, expect, it } from '@jest/globals';
import { statusMessage, fullMessage } from '../../../src/cleanup/failure.ts';
import {
  AuthFailedError,
  ProtocolError,
  RpcError,
  TimeoutError,
  UnreachableError,
} from '../../../src/copilot/index.ts';

describe('the message for the status, of a server’s error', () => {
  it.each<[string, Error, string]>([
    [
      'an error with quotes and backslashes in it',
      new RpcError('acme-0:4321: ping failed with error -32603 "a \\"secret\\" \\\\" (session s1)', -32_603, ''),
      'acme-0:4321: ping failed with error -32603 "..." (session s1)',
    ],
    [
      'a web server',
      new ProtocolError('acme-0:4321: found an HTTP answer "HTTP/1.1 secret": a web server listens on the port'),
      'acme-0:4321: found an HTTP answer "...": a web server listens on the port',
    ],
    [
      'a token that was refused',
      new AuthFailedError('acme-0:4321: the server refused the connection token (-32002 "secret"): it must be another'),
      'acme-0:4321: the server refused the connection token (-32002 "..."): it must be another',
    ],
  ])('has no text of the server: %s', (_, error, expected) => {
    expect(statusMessage(error)).toBe(expected);
    expect(fullMessage(error)).toContain('secret');
  });

  it.each([
    new TimeoutError('acme-0:4321: the server accepted the connection but did not answer "connect" within 5 ms'),
    new UnreachableError('acme-0:4321: the server closed the connection before it answered "connect"'),
  ])('is complete where the text is ours: $message', (error) => {
    expect(statusMessage(error)).toBe(error.message);
  });
});
