import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer as createHttpServer } from 'node:http';
import { channel } from 'node:diagnostics_channel';
import { connect, createServer, type Server } from 'node:net';
import pino from 'pino';
import { Registry } from 'prom-client';
import { InternalServer } from '../../../../src/gateway/report/internal-server.ts';
import { HealthServer } from '../../../../src/kube/runtime/health-server.ts';
import { listen } from '../../../../src/kube/runtime/listen.ts';

const host = '127.0.0.1';
/** As Node emits it where this process has no file descriptor left for a connection. */
const noDescriptor = (): Error => Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });

describe.each<[string, () => Server]>([
  ['a server', createServer],
  ['an HTTP server', createHttpServer],
])('%s', (_, create) => {
  let server: Server;
  let failures: string[];

  beforeEach(() => {
    server = create();
    failures = [];
  });
  afterEach(() => new Promise<void>((resolve) => void server.close(() => resolve())));

  const start = (port: number): Promise<number> =>
    listen(server, { host, port }, (error) => failures.push(error.message));

  it('listens, and goes on when a connection cannot be accepted', async () => {
    const port = await start(0);
    server.emit('error', noDescriptor());
    expect(failures).toEqual(['accept EMFILE']);
    const accepted = new Promise((resolve) => server.once('connection', resolve));
    const client = connect({ host, port });
    await accepted;
    client.destroy();
  });

  it('cannot listen where another one does', async () => {
    const port = await start(0);
    const second = create();
    await expect(listen(second, { host, port }, () => undefined)).rejects.toThrow('EADDRINUSE');
    expect(failures).toEqual([]);
  });
});

/** The internal port and that of probes, each with what it answers where nobody has a token. */
const servers = {
  health: (log: pino.Logger) => new HealthServer({ log, registry: new Registry(), probes: { '/tenants': [] } }),
  internal: (log: pino.Logger) =>
    new InternalServer({
      log,
      keys: { all: [] },
      clients: () => [],
      sessions: () => [],
      uses: () => ({ upMs: 0, idle: [], heldTurns: [], places: [] }),
      drains: () => [],
      act: () => 'UnknownTenant',
      access: { decide: () => Promise.resolve({ user: 'viewer' }) },
    }),
};

describe.each(Object.entries(servers))('the %s server', (_, create) => {
  it('logs a connection that it cannot accept, and answers the next one', async () => {
    const logged: string[] = [];
    const server = create(pino({}, { write: (line) => void logged.push(line) }));
    const port = await server.listen({ host, port: 0 });
    const get = async (): Promise<number> => {
      const headers = { authorization: 'Bearer t', connection: 'close' };
      return (await fetch(`http://${host}:${port}/tenants`, { headers })).status;
    };
    let inner: Server | undefined;
    const found = (message: unknown): void => void ({ server: inner } = message as { server: Server });
    channel('http.server.request.start').subscribe(found);
    try {
      expect(await get()).toBe(200);
      inner?.emit('error', noDescriptor());
      expect(logged).toEqual([expect.stringMatching(/accept EMFILE.*failed to accept a connection/s)]);
      expect(await get()).toBe(200);
    } finally {
      channel('http.server.request.start').unsubscribe(found);
      await server.close();
    }
  });
});
