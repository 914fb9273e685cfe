import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ProtocolError } from '../../../src/copilot/index.ts';
import { parseMessage } from '../../../src/copilot/message.ts';

const parse = (text: string) => parseMessage(Buffer.from(text));

describe('a JSON-RPC message', () => {
  it.each([
    ['an answer', '{"jsonrpc":"2.0","id":1,"result":{"a":1}}', { kind: 'answer', id: 1, result: { a: 1 } }],
    ['an answer of null', '{"jsonrpc":"2.0","id":"x","result":null}', { kind: 'answer', id: 'x', result: null }],
    [
      'an error',
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}',
      { kind: 'error', id: 1, code: -32601, message: 'no' },
    ],
    [
      'an error about an unreadable request',
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}',
      { kind: 'error', id: null, code: -32700, message: 'no' },
    ],
    [
      'a request',
      '{"jsonrpc":"2.0","id":7,"method":"userInput.request","params":{}}',
      { kind: 'request', id: 7, method: 'userInput.request', params: {} },
    ],
    [
      'a notification',
      '{"jsonrpc":"2.0","method":"session.event","params":{"a":[]}}',
      { kind: 'notification', method: 'session.event', params: { a: [] } },
    ],
  ])('is read as %s', (_, text, message) => {
    expect(parse(text)).toEqual(message);
  });

  it.each([
    ['nothing', '', 'an empty body'],
    ['text', 'hello', 'not JSON: "hello"'],
    ['half of an object', '{"jsonrpc":"2.0"', 'not JSON'],
    ['a byte order mark', '\ufeff{"jsonrpc":"2.0","id":1,"result":1}', 'not JSON'],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"result":1}]', 'a JSON-RPC batch'],
    ['a number', '42', 'the JSON value "42"'],
    ['null', 'null', 'the JSON value "null"'],
    ['JSON-RPC 1', '{"id":1,"result":1}', 'without "jsonrpc":"2.0"'],
    ['neither question nor answer', '{"jsonrpc":"2.0","id":1}', 'not exactly one of'],
    ['both answers', '{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}', 'not exactly one of'],
    ['an answer without id', '{"jsonrpc":"2.0","result":1}', 'an "id" that is neither'],
    ['an answer to null', '{"jsonrpc":"2.0","id":null,"result":1}', 'an "id" that is neither'],
    ['an object as id', '{"jsonrpc":"2.0","id":{},"method":"x"}', 'an "id" that is neither'],
    ['an infinite id', '{"jsonrpc":"2.0","id":1e999,"result":1}', 'an "id" that is neither'],
    ['a very long id', `{"jsonrpc":"2.0","id":"${'x'.repeat(300)}","method":"x"}`, 'an "id" that is neither'],
    ['a method that is no string', '{"jsonrpc":"2.0","id":1,"method":7}', 'a "method" that is not a string'],
    ['an error that is a string', '{"jsonrpc":"2.0","id":1,"error":"no"}', 'an "error" without code'],
    ['an error that is null', '{"jsonrpc":"2.0","id":1,"error":null}', 'an "error" without code'],
    ['an error without message', '{"jsonrpc":"2.0","id":1,"error":{"code":1}}', 'an "error" without code'],
  ])('is refused when it is %s', (_, text, found) => {
    expect(() => parse(text)).toThrow(ProtocolError);
    expect(() => parse(text)).toThrow(found);
  });

  it('is refused when it is not UTF-8', () => {
    const body = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","id":1,"result":"'),
      Buffer.from([0xff, 0xc0]),
      Buffer.from('"}'),
    ]);
    expect(() => parseMessage(body)).toThrow('not UTF-8');
  });

  it.each([
    ['arrays', '['],
    ['objects', '{"a":'],
  ])('is refused when its %s are nested 100,000 deep, before anything recursive reads it', (_, open) => {
    expect(() => parse(`{"jsonrpc":"2.0","id":1,"result":${open.repeat(100_000)}`)).toThrow('deeper than 128 levels');
  });

  it('may hold brackets and __proto__ as text', () => {
    const text = `"\\${'['.repeat(1000)}"{ __proto__ \u0001`;
    expect(parse(JSON.stringify({ jsonrpc: '2.0', id: 1, result: text }))).toMatchObject({ result: text });
  });

  it.each([
    ['__proto__', '__proto__'],
    ['__proto__ in disguise', String.raw`\u005F_proto__`],
    ['constructor', 'constructor'],
  ])('may hold the key %s, which is a key like any other', (_, key) => {
    const text = `{"jsonrpc":"2.0","id":1,"result":{"${key}":{"polluted":1}},"${key}":{"error":{},"method":"x","polluted":1}}`;
    const message = parse(text) as { kind: string; result: { polluted?: number } };
    expect(message.kind).toBe('answer');
    expect(Object.entries(message.result)).toEqual([[JSON.parse(`"${key}"`), { polluted: 1 }]]);
    expect(Object.getPrototypeOf(message.result)).toBe(Object.prototype);
    expect([message.result.polluted, ({} as { polluted?: number }).polluted]).toEqual([undefined, undefined]);
  });

  it('carries any JSON value as a result', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (result) => {
        const read = parse(JSON.stringify({ jsonrpc: '2.0', id: 1, result }));
        // By way of JSON, because it has no -0.
        expect(read).toEqual({ kind: 'answer', id: 1, result: JSON.parse(JSON.stringify(result)) });
      }),
    );
  });

  it('survives any bytes: a message or a ProtocolError', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          try {
            parseMessage(Buffer.from(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
