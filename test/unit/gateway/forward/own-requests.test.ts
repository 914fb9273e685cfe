import { beforeEach, expect, it } from '@jest/globals';
import { OwnRequests } from '../../../../src/gateway/forward/own-requests.ts';
import { settle } from '../../../support/fake-clock.ts';

let asked: { id: string; method: string; params: object }[];
let own: OwnRequests;
const leg = { ask: (body: string) => void asked.push(JSON.parse(body)) };

beforeEach(() => {
  asked = [];
  let ids = 0;
  own = new OwnRequests(() => `own-${(ids += 1)}`);
});

function answer(id: unknown, result = {}): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result }));
}

it('are asked under ids of their own, and take their answers', async () => {
  const [first, second] = [own.ask(leg, 'a', { x: 1 }), own.ask(leg, 'b', {})];
  expect(asked).toMatchObject([
    { id: 'own-1', method: 'a', params: { x: 1 } },
    { id: 'own-2', method: 'b' },
  ]);
  expect(own.take(answer('own-2', { of: 'b' }))).toBe(true);
  expect(await second).toMatchObject({ kind: 'answer', result: { of: 'b' } });
  expect([own.size, own.has('own-1'), own.has('own-2')]).toEqual([1, true, false]);
  expect(own.take(answer('own-1'))).toBe(true);
  expect(await first).toMatchObject({ kind: 'answer' });
});

it.each([
  ['an answer to the client', answer(1)],
  ['a request of the server', Buffer.from('{"jsonrpc":"2.0","id":"own-1","method":"hooks.invoke"}')],
  ['a notification', Buffer.from('{"jsonrpc":"2.0","method":"session.event","params":{}}')],
])('leave %s alone', (_, body) => {
  void own.ask(leg, 'a', {});
  expect([own.take(body), own.size]).toEqual([false, 1]);
});

it('take an answer once', () => {
  void own.ask(leg, 'a', {});
  expect([own.take(answer('own-1')), own.take(answer('own-1'))]).toEqual([true, false]);
});

it('fail when none is answered any more', async () => {
  const failures: unknown[] = [];
  for (const method of ['a', 'b']) own.ask(leg, method, {}).catch((error: unknown) => failures.push(error));
  const lost = new Error('lost');
  own.fail(lost);
  await settle();
  expect([failures, own.size]).toEqual([[lost, lost], 0]);
});
