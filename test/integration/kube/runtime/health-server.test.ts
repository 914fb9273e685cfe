import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import pino from 'pino';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import type { CallOptions, KubeClient } from '../../../../src/kube/client/client.ts';
import { HealthServer } from '../../../../src/kube/runtime/health-server.ts';
import { Manager } from '../../../../src/kube/runtime/manager.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const servers: HealthServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

/** A server with one good and one switchable check under /readyz. */
async function start() {
  const state = { ok: true, note: '' };
  const logged: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line) => void logged.push(JSON.parse(line) as Record<string, unknown>) });
  const metrics = new Metrics();
  metrics.leader('lease', true);
  const probes = {
    '/livez': [],
    '/readyz': [
      { name: 'ping', check: () => ({ ok: true, message: '' }) },
      { name: 'caches', check: () => ({ ok: state.ok, message: state.ok ? '' : 'not synced yet: pods' }) },
      { name: 'types', check: () => ({ ok: true, message: state.note }) },
    ],
  };
  const server = new HealthServer({ log, probes, registry: metrics.registry });
  servers.push(server);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return { status: response.status, body: await response.text() };
  };
  return { state, logged, server, port, get };
}

describe('the probes', () => {
  it('answer ok while every check is ok', async () => {
    const { get } = await start();
    expect(await get('/readyz')).toEqual({ status: 200, body: 'ok' });
    expect(await get('/livez')).toEqual({ status: 200, body: 'ok' });
    expect(await get('/readyz?verbose')).toEqual({
      status: 200,
      body: '[+]ping ok\n[+]caches ok\n[+]types ok\nreadyz check passed\n',
    });
  });

  it('name what a check that is ok has to say, when asked for', async () => {
    const { get, state } = await start();
    state.note = 'the CRD of copilotsessions is missing';
    expect(await get('/readyz')).toEqual({ status: 200, body: 'ok' });
    expect((await get('/readyz?verbose')).body).toContain('[+]types ok: the CRD of copilotsessions is missing\n');
  });

  it('fail with the reason, in the response and in the log', async () => {
    const { get, state, logged } = await start();
    state.ok = false;
    expect(await get('/readyz')).toEqual({
      status: 500,
      body: '[+]ping ok\n[-]caches failed: not synced yet: pods\n[+]types ok\nreadyz check failed\n',
    });
    expect(logged).toMatchObject([{ probe: 'readyz', failed: ['[-]caches failed: not synced yet: pods'] }]);
  });

  it('answer for a single check', async () => {
    const { get, state } = await start();
    state.ok = false;
    expect((await get('/readyz/ping')).status).toBe(200);
    expect((await get('/readyz/caches')).status).toBe(500);
    expect((await get('/readyz/nothing')).status).toBe(404);
  });

  it('refuse other paths and other methods', async () => {
    const { get } = await start();
    expect((await get('/')).status).toBe(404);
    expect((await get('/readyz', 'POST')).status).toBe(405);
  });
});

describe('the probes of a manager', () => {
  /** With an API server that accepts every request and never responds. */
  async function deaf() {
    const clock = new FakeClock();
    const silence = (signal: AbortSignal | undefined): Promise<never> =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }));
    const client = {
      listAll: (_: unknown, { signal }: CallOptions) => silence(signal),
      // eslint-disable-next-line require-yield -- it never yields
      watch: async function* (_: unknown, { signal }: CallOptions) {
        await silence(signal);
      },
    } as unknown as KubeClient;
    const manager = new Manager({
      client,
      clock,
      random: () => 0,
      log: pino({ level: 'silent' }),
      metrics: new Metrics(),
      health: { host: '127.0.0.1', port: 0 },
    });
    manager.informer(ConfigMap);
    const stop = new AbortController();
    const ended = manager.run(stop.signal);
    await settle(10);
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${manager.ports.health}${path}`);
      return { status: response.status, body: await response.text() };
    };
    return {
      clock,
      get,
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await ended;
      },
    };
  }

  it('report that it is not ready before its caches have synced', async () => {
    await using d = await deaf();
    expect(await d.get('/readyz')).toMatchObject({
      status: 500,
      body: expect.stringContaining('not synced yet: configmaps'),
    });
    expect((await d.get('/livez')).status).toBe(200);
  });

  it('report that it is not alive once a watch has made no progress for too long', async () => {
    await using d = await deaf();
    await d.clock.advance(16 * 60_000);
    for (const path of ['/livez', '/healthz']) {
      expect(await d.get(path)).toMatchObject({
        status: 500,
        body: expect.stringMatching(/\[-\]watches failed: configmaps: no list, event or bookmark for \d+ s/),
      });
    }
  });
});

describe('the metrics', () => {
  it('are served in the text format', async () => {
    const { get } = await start();
    const { status, body } = await get('/metrics');
    expect(status).toBe(200);
    expect(body).toMatch(/^leader_election_master_status\{name="lease"\} 1$/m);
  });
});

describe('the server', () => {
  it('closes with a connection still open', async () => {
    const { server, port } = await start();
    const socket = connect(port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    await server.close();
    await closed;
  });

  it('answers an invalid path with 400, and does not log it', async () => {
    const { port, logged } = await start();
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET // HTTP/1.1\r\nHost: x\r\n\r\n');
    const [response] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(response.toString()).toMatch(/^HTTP\/1.1 400 /);
    expect(logged).toEqual([]);
  });

  it('rejects if its port is in use', async () => {
    const { port } = await start();
    const second = new HealthServer({ log: pino({ level: 'silent' }) });
    await expect(second.listen({ host: '127.0.0.1', port })).rejects.toThrow('EADDRINUSE');
  });
});
