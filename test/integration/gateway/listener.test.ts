// The listening sockets of the gateway on real connections: TLS, load balancers, strangers, and its end.
import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { BlockList, connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as dialTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { encodeFrame } from '../../../src/copilot/index.ts';
import { Certificates } from '../../../src/gateway/listen/certificates.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { BINDING_TOKEN, GatewayInProcess, type GatewayInProcessOptions } from '../../support/gateway.ts';
import { PrivateCA, type ServerCertificate } from '../../support/private-ca.ts';
import { RawClient } from '../../support/raw-client.ts';
import { openSockets, probedIn, socketsLeft } from '../../support/sockets.ts';
import { waitFor } from '../../support/wait.ts';

const socketsBefore = openSockets();
const CONNECT = encodeFrame(
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'connect', params: { token: BINDING_TOKEN } }),
);
const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  await socketsLeft(socketsBefore);
});

async function start(options: GatewayInProcessOptions = {}): Promise<GatewayInProcess> {
  const gateway = await GatewayInProcess.start(options);
  cleanups.push(() => gateway[Symbol.asyncDispose]());
  return gateway;
}

function plain(gateway: GatewayInProcess): RawClient {
  return track(dial(gateway.port, gateway.host));
}

function track(socket: Socket): RawClient {
  cleanups.push(() => void socket.destroy());
  return new RawClient(socket);
}

/** A client sees its end before the gateway has counted it. */
async function ended(gateway: GatewayInProcess, how: 'closed' | 'rejected', reason: string): Promise<void> {
  const name = `copilot_gateway_${how}_connections_total`;
  await waitFor(`${name} of ${reason} is 1`, async () => (await gateway.metric(name, { reason })) === 1);
}

/** The address from which the gateway took the last client that it admitted. */
async function lastAddress({ log }: GatewayInProcess): Promise<unknown> {
  return waitFor('an audit line', () => log.findLast(({ msg }) => msg === 'client admitted')?.['address']);
}

describe('TLS', () => {
  const clock = new FakeClock();

  interface TlsGateway {
    readonly gateway: GatewayInProcess;
    readonly ca: PrivateCA;
    renew(certificate: ServerCertificate): void;
  }

  async function startTls(clientCA?: PrivateCA, more: GatewayInProcessOptions = {}): Promise<TlsGateway> {
    const dir = mkdtempSync(join(tmpdir(), 'gateway-tls-'));
    const ca = new PrivateCA();
    cleanups.push(() => {
      rmSync(dir, { recursive: true });
      ca[Symbol.dispose]();
    });
    const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key'), clientCA: clientCA?.file };
    const renew = ({ cert, key }: ServerCertificate): void => {
      writeFileSync(files.cert, cert);
      writeFileSync(files.key, key);
    };
    renew(ca.issue('DNS:first.test'));
    const log = { info: () => undefined, error: () => undefined };
    const certificates = new Certificates({ files, timers: clock, log });
    const gateway = await start({ ...more, tls: { at: { host: '127.0.0.1', port: 0 }, certificates } });
    return { gateway, ca, renew };
  }

  function secure({ gateway, ca }: TlsGateway, options: ConnectionOptions = {}): TLSSocket {
    return dialTls({
      port: gateway.tlsPort,
      host: '127.0.0.1',
      ca: ca.pem,
      checkServerIdentity: () => undefined,
      ...options,
    });
  }

  const nameOf = (socket: TLSSocket): string | undefined => socket.getPeerCertificate().subjectaltname;

  it('admits beside the plain port, and follows a renewed certificate without losing anybody', async () => {
    const tls = await startTls();
    const first = secure(tls);
    const client = track(first);
    client.connect(BINDING_TOKEN);
    expect(await client.answer(1)).toMatchObject({ result: { ok: true } });
    expect([nameOf(first), first.getProtocol()]).toEqual(['DNS:first.test', 'TLSv1.3']);
    const open = plain(tls.gateway);
    open.connect(BINDING_TOKEN);
    expect(await open.answer(1)).toMatchObject({ result: { ok: true } });

    tls.renew(tls.ca.issue('DNS:second.test'));
    await clock.advance(60_000);
    const second = secure(tls);
    track(second).connect(BINDING_TOKEN);
    await waitFor('the new certificate', () => nameOf(second) === 'DNS:second.test');
    client.send({ id: 2, method: 'ping' });
    await client.answer(2);

    // A key that does not belong to it, as in the middle of a renewal.
    tls.renew({ ...tls.ca.issue('DNS:third.test'), key: tls.ca.issue('DNS:third.test').key });
    await clock.advance(60_000);
    const third = secure(tls);
    track(third).connect(BINDING_TOKEN);
    await waitFor('the certificate before', () => nameOf(third) === 'DNS:second.test');
  });

  it('is not spoken below version 1.2, nor in plain text', async () => {
    const tls = await startTls();
    for (const socket of [
      secure(tls, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }),
      dial(tls.gateway.tlsPort, '127.0.0.1'),
    ]) {
      const client = track(socket);
      client.connect(BINDING_TOKEN);
      await waitFor('the end of the connection', () => client.isClosed);
    }
    expect(
      await tls.gateway.metric('copilot_gateway_rejected_connections_total', { reason: 'TLSHandshake' }),
    ).toBeGreaterThan(0);
    expect(await tls.gateway.metric('copilot_gateway_clients')).toBe(0);
  });

  it('takes certificates of clients where it has their authority, and no others', async () => {
    const clientCA = new PrivateCA('clients');
    const foreignCA = new PrivateCA('others');
    cleanups.push(
      () => clientCA[Symbol.dispose](),
      () => foreignCA[Symbol.dispose](),
    );
    const tls = await startTls(clientCA);
    for (const options of [{}, foreignCA.issue('DNS:client')]) {
      const client = track(secure(tls, options));
      client.connect(BINDING_TOKEN);
      await waitFor('the end of the connection', () => client.isClosed);
      expect(client.received).toEqual([]);
    }
    const client = track(secure(tls, clientCA.issue('DNS:client')));
    client.connect(BINDING_TOKEN);
    expect(await client.answer(1)).toMatchObject({ result: { ok: true } });
  });

  it('is spoken behind a PROXY protocol header', async () => {
    const proxies = new BlockList();
    proxies.addAddress('127.0.0.1');
    const tls = await startTls(undefined, { proxies });
    const raw = dial(tls.gateway.tlsPort, '127.0.0.1');
    raw.write('PROXY TCP4 198.51.100.7 10.0.0.1 40000 4321\r\n');
    const client = track(secure(tls, { socket: raw }));
    client.connect(BINDING_TOKEN);
    expect(await client.answer(1)).toMatchObject({ result: { ok: true } });
    expect(await lastAddress(tls.gateway)).toBe('198.51.100.7:40000');
  });

  it('cannot be configured with files that do not fit', () => {
    const files = { cert: '/nowhere/tls.crt', key: '/nowhere/tls.key', clientCA: undefined };
    const log = { info: () => undefined, error: () => undefined };
    expect(() => new Certificates({ files, timers: clock, log })).toThrow('/nowhere/tls.crt');
  });
});

describe('a load balancer', () => {
  const balanced = (): Promise<GatewayInProcess> => {
    const proxies = new BlockList();
    proxies.addSubnet('127.0.0.0', 8);
    return start({ proxies });
  };
  const V2 = Buffer.from('0d0a0d0a000d0a515549540a2111000cc6336408000000019c4010e1', 'hex');

  it.each([
    ['version 1', Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 40000 4321\r\n'), '[2001:db8::7]:40000'],
    ['version 2', V2, '198.51.100.8:40000'],
  ])('says whose connection it is by PROXY protocol %s, in any slices', async (_, header, address) => {
    const gateway = await balanced();
    const client = plain(gateway);
    for (const byte of Buffer.concat([header, Buffer.from(CONNECT)])) client.stream.write(Buffer.from([byte]));
    expect(await client.answer(1)).toMatchObject({ result: { ok: true } });
    expect(await lastAddress(gateway)).toBe(address);
  });

  it('must say it', async () => {
    const gateway = await balanced();
    const client = plain(gateway);
    client.connect(BINDING_TOKEN);
    await waitFor('the end of the connection', () => client.isClosed);
    expect(client.received).toEqual([]);
    await ended(gateway, 'rejected', 'ProxyHeader');
  });

  it('that is not listed is not believed', async () => {
    const gateway = await start();
    const client = plain(gateway);
    client.stream.write('PROXY TCP4 198.51.100.7 10.0.0.1 40000 4321\r\n');
    await waitFor('the end of the connection', () => client.isClosed);
    await ended(gateway, 'closed', 'FramingFault');
  });
});

describe('strangers', () => {
  it('who never say connect, 5,000 of them, keep nobody out, and are gone after their time', async () => {
    const gateway = await start({ limits: { greetingMs: 3_000 } });
    const sockets = Array.from({ length: 5_000 }, () => dial(gateway.port, gateway.host));
    for (const socket of sockets) socket.on('error', () => undefined).resume();
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
    });
    const client = plain(gateway);
    client.connect(BINDING_TOKEN);
    expect(await client.answer(1, 20_000)).toMatchObject({ result: { ok: true } });
    await waitFor('only the client is left', async () => (await gateway.metric('copilot_gateway_clients')) === 1, {
      withinMs: 20_000,
    });
    expect(
      await gateway.metric('copilot_gateway_closed_connections_total', { reason: 'GreetingTimeout' }),
    ).toBeGreaterThan(4_900);
  }, 60_000);

  it('cannot have more connections than there may be, and clients keep theirs', async () => {
    const gateway = await start({ maxConnections: 2 });
    const [one, two] = [plain(gateway), plain(gateway)];
    one.connect(BINDING_TOKEN);
    two.connect(BINDING_TOKEN);
    await Promise.all([one.answer(1), two.answer(1)]);
    const three = plain(gateway);
    await waitFor('the end of the third', () => three.isClosed);
    await ended(gateway, 'rejected', 'TooManyConnections');
    one.send({ id: 2, method: 'ping' });
    await one.answer(2);
  });

  it('and clients are told apart: one thousand are admitted at once', async () => {
    const gateway = await start();
    const clients = Array.from({ length: 1_000 }, () => plain(gateway));
    for (const client of clients) client.connect(BINDING_TOKEN);
    await waitFor(
      'all are admitted',
      async () => (await gateway.metric('copilot_gateway_clients', { state: 'Relaying' })) === 1_000,
    );
    expect(await gateway.metric('copilot_gateway_admissions_total', { result: 'Admitted' })).toBe(1_000);
  });
});

it('a client on which nothing is heard is probed after a minute, so that one that is half open ends', async () => {
  const gateway = await start();
  const client = plain(gateway);
  client.connect(BINDING_TOKEN);
  await client.answer(1);
  const seconds = probedIn({ local: gateway.port });
  expect(seconds).toBeGreaterThan(55);
  expect(seconds).toBeLessThanOrEqual(60);
});

describe('a tenant', () => {
  it('has a bounded number of clients: one more is told to try again, and may when one has left', async () => {
    const gateway = await start({ maxConnectionsPerTenant: 2 });
    const [one, two, three] = [plain(gateway), plain(gateway), plain(gateway)];
    for (const client of [one, two]) {
      client.connect(BINDING_TOKEN);
      expect(await client.answer(1)).toMatchObject({ result: { ok: true } });
    }
    three.connect(BINDING_TOKEN);
    expect(await three.answer(1)).toMatchObject({ error: { code: -32050, data: { retryable: true } } });
    const left = async (clients: number) => (await gateway.metric('copilot_gateway_clients')) === clients;
    await waitFor('the end of the third', () => left(2));
    const lines = gateway.log.filter(({ audit, reason }) => audit === true && reason === 'TenantFull');
    expect(lines).toMatchObject([{ msg: 'client gone', tenant: 'team/acme' }]);
    expect(three.isClosed).toBe(true);
    one.stream.end();
    await waitFor('the end of the first', () => left(1));
    const four = plain(gateway);
    four.connect(BINDING_TOKEN);
    expect(await four.answer(1)).toMatchObject({ result: { ok: true } });
  });

  it('is not told from one that does not exist, by what a stranger gets or when', async () => {
    const gateway = await start();
    const refusal = async (token: string): Promise<[object, boolean]> => {
      const client = plain(gateway);
      const before = performance.now();
      client.connect(token);
      const answer = await client.answer(1);
      // Not before its time, whatever was looked up; how much later is the machine's.
      return [answer, performance.now() - before >= 299];
    };
    const wrong = `cpg_${'b'.repeat(43)}`;
    const tokens = [
      `team/acme:${wrong}`,
      `team/acme-0:${wrong}`,
      `other/acme:${wrong}`,
      'team/acme:cpg_x',
      'team/acme:a.b.c',
      'x',
    ];
    const [first, ...others] = await Promise.all(tokens.map(refusal));
    expect(first).toEqual([
      expect.objectContaining({ error: { code: -32002, message: 'AUTHENTICATION_FAILED' } }),
      true,
    ]);
    expect(others).toEqual(others.map(() => first));
    gateway.fleet.change({ access: 'Direct' });
    expect(await refusal(BINDING_TOKEN)).toEqual(first);
  });

  it('whose credential is retired loses the clients that came with it at once, and no others', async () => {
    const gateway = await start();
    const client = plain(gateway);
    client.connect(BINDING_TOKEN);
    await client.answer(1);
    gateway.fleet.change({ servers: [] });
    client.send({ id: 2, method: 'ping' });
    await client.answer(2);
    gateway.fleet.change({ credentials: ['0'.repeat(64)] });
    await waitFor('the end of the connection', () => client.isClosed);
    await ended(gateway, 'closed', 'CredentialRevoked');
  });
});

describe('a gateway that stops', () => {
  it('is not ready, takes nobody, and lets clients stay until they leave', async () => {
    const gateway = await start({ drain: { leaveMs: 60_000, closeMs: 100 } });
    const client = plain(gateway);
    client.connect(BINDING_TOKEN);
    await client.answer(1);
    const stranger = plain(gateway);
    await waitFor('two connections', async () => (await gateway.metric('copilot_gateway_clients')) === 2);
    const stopped = gateway.stop();
    await waitFor('the stranger is gone', () => stranger.isClosed);
    expect(gateway.isReady).toBe(false);
    const late = plain(gateway);
    await waitFor('a later one is refused', () => late.isClosed);
    client.send({ id: 2, method: 'ping' });
    await client.answer(2);
    client.stream.end();
    await stopped;
  });

  it('closes those who stay after their time', async () => {
    const gateway = await start({ drain: { leaveMs: 300, closeMs: 300 } });
    const client = plain(gateway);
    client.connect(BINDING_TOKEN);
    await client.answer(1);
    await gateway.stop();
    await waitFor('the end of the connection', () => client.isClosed);
    await ended(gateway, 'closed', 'Drained');
  });
});
