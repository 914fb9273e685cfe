import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { connectByKeys } from '../../../src/kube/runtime/keyed-tls.ts';
import type { WakeAsk } from '../../../src/resources/operator-internal.ts';
import { WakeServer } from '../../../src/tenant/wake-server.ts';

let asked: WakeAsk[][];
let server: WakeServer;
let port: number;
const keys = { all: [{ id: 'key', key: randomBytes(32) }] };

beforeEach(async () => {
  asked = [];
  server = new WakeServer({
    authorize: (token) =>
      Promise.resolve(token === 'good' ? { user: 'gateway' } : { status: 403, message: 'it needs a right' }),
    keys,
    ask: (asks) => void asked.push([...asks]),
    log: pino({ level: 'silent' }),
  });
  port = await server.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(() => server.close());

const ACME = { namespace: 'team', name: 'acme', epoch: 3 };
async function post(body: unknown, { token = 'good', path = '/wakes', method = 'POST' } = {}): Promise<string> {
  const socket = await connectByKeys({ host: '127.0.0.1', port }, keys, new AbortController().signal);
  const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
  const sent = request({ path, method, headers, createConnection: () => socket });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  sent.end(method === 'POST' ? JSON.stringify(body) : undefined);
  const [response] = await answered;
  return `${response.statusCode} ${(await text(response)).trim()}`.trim();
}

describe('the internal port of the operator', () => {
  it('takes what the gateway asks', async () => {
    expect(await post({ tenants: [ACME] })).toBe('202');
    expect(asked).toEqual([[ACME]]);
  });

  it.each<[string, unknown, Parameters<typeof post>[1], RegExp]>([
    ['without a token', {}, { token: '' }, /^401 present a Kubernetes token/],
    ['of whoever has no right', { tenants: [ACME] }, { token: 'bad' }, /^403 it needs a right$/],
    ['of another path', {}, { path: '/tenants' }, /^404$/],
    ['of another method', {}, { method: 'GET' }, /^405$/],
    ['in another form', { tenants: [{ name: 'acme' }] }, {}, /^400 an entry of the request is no tenant/],
    ['without a list', [], {}, /^400 the request has no list of tenants/],
    ['that is too large', { tenants: [], more: 'x'.repeat(5 * 1024 * 1024) }, {}, /^413 the request has more than/],
  ])('refuses a request %s', async (_what, body, options, answer) => {
    expect(await post(body, options)).toMatch(answer);
    expect(asked).toEqual([]);
  });
});
