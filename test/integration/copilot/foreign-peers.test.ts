// The client against what may listen in a server's place, by mistake or by malice.
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import {
  Client,
  ProtocolError,
  TimeoutError,
  UnreachableError,
  ping,
  encodeFrame,
} from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { freePort } from '../../support/copilot-server.ts';
import { RawPeer } from '../../support/raw-peer.ts';
import { openSockets, socketsLeft } from '../../support/sockets.ts';

const host = '127.0.0.1';
const before = openSockets();

/** The error that opening a connection ends with. */
async function refusal(port: number, timeoutMs = 5000): Promise<unknown> {
  const connection = new Client({ host, port, token: 'sesame', timers: systemClock });
  const error = await connection.open({ timeoutMs }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(connection.closed).toBe(true);
  return error;
}

/** Answers `connect` as a server does, then leaves the connection to the test. */
function accepting(then: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    socket.once('data', () => {
      socket.write(encodeFrame('{"jsonrpc":"2.0","id":1,"result":{"ok":true}}'));
      then(socket);
    });
  };
}

/** Opens a connection and resolves with the error that it is lost with. */
async function loss(peer: RawPeer): Promise<Error> {
  const { promise, resolve, reject } = Promise.withResolvers<Error>();
  const connection = new Client({ host, port: peer.port, timers: systemClock, onLost: resolve });
  const deadline = systemClock.setTimer(10_000, () => reject(new Error('the connection was not closed within 10 s')));
  try {
    // Lost already while it was opened, if the peer was quick.
    await connection.open({ timeoutMs: 5000 }).catch((error: unknown) => resolve(error as Error));
    return await promise;
  } finally {
    deadline.cancel();
  }
}

async function expectNoSockets(peer: RawPeer): Promise<void> {
  const deadline = performance.now() + 5000;
  while (peer.connections > 0 && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  expect(peer.connections).toBe(0);
}

afterEach(async () => {
  await socketsLeft(before);
});

describe('a connection to', () => {
  it('a closed port is Unreachable at once', async () => {
    const error = await refusal(await freePort());
    expect(error).toBeInstanceOf(UnreachableError);
    expect(String(error)).toContain('nothing listens on the port (ECONNREFUSED)');
  });

  it('a name that does not exist is Unreachable', async () => {
    const connection = new Client({ host: 'no-such-host.invalid', port: 4321, timers: systemClock });
    await expect(connection.open({ timeoutMs: 30_000 })).rejects.toThrow(UnreachableError);
  }, 40_000);

  it('an HTTP server is a ProtocolError that says so', async () => {
    const http = createHttpServer((_, response) => response.end('hello')).listen(0, host);
    await once(http, 'listening');
    try {
      const error = await refusal((http.address() as AddressInfo).port);
      expect(error).toBeInstanceOf(ProtocolError);
      expect(String(error)).toContain('an HTTP answer "HTTP/1.1 400 Bad Request": a web server listens on the port');
    } finally {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    }
  });

  it('a peer that accepts connections and never answers is a Timeout', async () => {
    await using peer = await RawPeer.listen((socket) => socket.resume());
    expect(await refusal(peer.port, 300)).toBeInstanceOf(TimeoutError);
    await expectNoSockets(peer);
  });

  it('a peer that closes at once is Unreachable', async () => {
    await using peer = await RawPeer.listen((socket) => socket.end());
    const error = await refusal(peer.port);
    expect(error).toBeInstanceOf(UnreachableError);
    expect(String(error)).toContain('the server closed the connection before it answered "connect"');
  });

  it('a peer that resets is Unreachable', async () => {
    await using peer = await RawPeer.listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
    expect(await refusal(peer.port)).toBeInstanceOf(UnreachableError);
  });

  it('a peer that sends one byte every 20 ms works, and is a Timeout when that is too slow', async () => {
    const answer = encodeFrame('{"jsonrpc":"2.0","id":1,"result":{"ok":true}}');
    const dripping = (socket: Socket): void => {
      let sent = 0;
      const timer = setInterval(() => {
        if (sent < answer.length) socket.write(answer[sent++] ?? '');
      }, 20);
      socket.on('close', () => clearInterval(timer));
    };
    await using peer = await RawPeer.listen(dripping);
    const connection = new Client({ host, port: peer.port, timers: systemClock });
    await connection.open({ timeoutMs: 20_000 });
    connection.close();
    expect(await refusal(peer.port, 300)).toBeInstanceOf(TimeoutError);
  }, 30_000);

  it('a peer that announces 200 MB and sends them is disconnected before they are stored', async () => {
    let pushed = 0;
    await using peer = await RawPeer.listen(
      accepting((socket) => {
        socket.write('Content-Length: 209715200\r\n\r\n');
        const megabyte = Buffer.alloc(1024 * 1024, ' ');
        const push = (): void => {
          for (pushed += 1; pushed <= 200 && socket.write(megabyte); pushed += 1);
        };
        socket.on('drain', push);
        push();
      }),
    );
    const memory = process.memoryUsage.rss();
    const error = await loss(peer);
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error.message).toContain('a frame of 209715200 bytes, more than the 16777216 allowed');
    await expectNoSockets(peer);
    expect(pushed).toBeLessThan(50);
    expect(process.memoryUsage.rss() - memory).toBeLessThan(50e6);
  });

  it.each([
    [
      'nests JSON 100,000 deep',
      encodeFrame(`{"jsonrpc":"2.0","id":2,"result":${'['.repeat(100_000)}`),
      'deeper than 128',
    ],
    ['sends text that is not UTF-8', Buffer.from('Content-Length: 3\r\n\r\n"\xff"', 'latin1'), 'not UTF-8'],
    ['sends a batch', encodeFrame('[]'), 'a JSON-RPC batch'],
    ['sends two lengths', 'Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}', 'two Content-Length lines'],
    ['sends endless headers', 'X-Header: y\r\n'.repeat(10_000), 'a frame header of more than 4096 bytes'],
  ])('a peer that %s is a ProtocolError', async (_, bytes, found) => {
    await using peer = await RawPeer.listen(accepting((socket) => socket.write(bytes)));
    const error = await loss(peer);
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error.message).toContain(found);
    await expectNoSockets(peer);
  });

  it('a peer that sends requests without end and reads no answer costs bounded memory, and is a Timeout', async () => {
    let written = 0;
    await using peer = await RawPeer.listen(
      accepting((socket) => {
        socket.pause();
        const requests = encodeFrame('{"jsonrpc":"2.0","id":7,"method":"hooks.invoke","params":{}}').repeat(1000);
        const push = (): void => {
          do written += requests.length;
          while (written < 500e6 && socket.write(requests));
        };
        socket.on('drain', push);
        push();
      }),
    );
    const memory = process.memoryUsage.rss();
    const connection = new Client({ host, port: peer.port, timers: systemClock });
    await connection.open({ timeoutMs: 5000 });
    await expect(ping(connection, { timeoutMs: 2000 })).rejects.toThrow(TimeoutError);
    // The kernel's buffers of the loopback hold a few megabytes; the rest had to wait.
    expect(written).toBeLessThan(20e6);
    expect(process.memoryUsage.rss() - memory).toBeLessThan(50e6);
    connection.close();
    await expectNoSockets(peer);
  }, 20_000);
});
