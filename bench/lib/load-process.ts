// Clients that load a server or what stands before it, in a process of their own.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import type { LoadOrder, LoadReport } from './load.ts';

const IDLE = '"type":"session.idle"';
/** Longer frames are not searched for the end of a turn. */
const LONGEST_IDLE = 600;

/** One client: what it sends is a frame, and each frame that it receives is handed on. */
class LoadClient {
  readonly socket: Socket;
  bytes = 0;
  frames = 0;
  onFrame: (body: Buffer) => void = () => undefined;
  #lastId = 0;

  constructor({ host, port }: LoadOrder) {
    this.socket = connect({ host, port, noDelay: true });
    const decoder = new FrameDecoder((body) => {
      this.frames += 1;
      this.onFrame(body);
    });
    this.socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      decoder.push(chunk);
    });
    this.socket.on('error', () => this.socket.destroy());
  }

  send(method: string, params: object): void {
    this.#lastId += 1;
    this.socket.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id: this.#lastId, method, params })));
  }

  /** Sends a request and waits for the next frame, which must be no error. */
  async ask(method: string, params: object): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const lost = (): void => reject(new Error(`${method}: the connection was closed`));
    this.socket.once('close', lost);
    this.onFrame = (body) => {
      if (body.includes('"error":')) reject(new Error(`${method}: ${body.toString()}`));
      else resolve();
    };
    this.send(method, params);
    await promise;
    this.socket.off('close', lost);
  }
}

const held: LoadClient[] = [];

async function admitted(order: LoadOrder): Promise<LoadClient> {
  const client = new LoadClient(order);
  await client.ask('connect', { token: order.token });
  return client;
}

/** Each connection has one request under way. */
async function ask(order: LoadOrder): Promise<Partial<LoadReport>> {
  const clients = await Promise.all(Array.from({ length: order.connections }, () => admitted(order)));
  const latencies: number[] = [];
  let count = 0;
  const begun = performance.now();
  const end = begun + order.seconds * 1000;
  await Promise.all(
    clients.map(
      (client) =>
        new Promise<void>((resolve) => {
          let sentAt = performance.now();
          const next = (): void => {
            sentAt = performance.now();
            client.send('status.get', {});
          };
          client.onFrame = () => {
            const now = performance.now();
            count += 1;
            latencies.push(now - sentAt);
            if (now >= end) resolve();
            else if (order.pauseMs === undefined) next();
            else void setTimeout(order.pauseMs).then(next);
          };
          next();
        }),
    ),
  );
  const seconds = (performance.now() - begun) / 1000;
  latencies.sort((a, b) => a - b);
  for (const { socket } of clients) socket.destroy();
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { count, seconds, p50: at(0.5), p99: at(0.99) };
}

/** Each connection has a session with a turn under way. */
async function stream(order: LoadOrder): Promise<Partial<LoadReport>> {
  const clients = await Promise.all(Array.from({ length: order.connections }, () => admitted(order)));
  const sessions = clients.map((client) => ({ client, sessionId: randomUUID() }));
  for (const { client, sessionId } of sessions) await client.ask('session.create', { sessionId, streaming: true });
  const before = { frames: sum(clients, 'frames'), bytes: sum(clients, 'bytes') };
  const begun = performance.now();
  const end = begun + order.seconds * 1000;
  await Promise.all(
    sessions.map(
      ({ client, sessionId }) =>
        new Promise<void>((resolve) => {
          const next = (): void => client.send('session.send', { sessionId, prompt: 'x' });
          client.onFrame = (body) => {
            if (body.length > LONGEST_IDLE || !body.includes(IDLE)) return;
            if (performance.now() >= end) resolve();
            else next();
          };
          next();
        }),
    ),
  );
  const seconds = (performance.now() - begun) / 1000;
  const count = sum(clients, 'frames') - before.frames;
  const bytes = sum(clients, 'bytes') - before.bytes;
  for (const { socket } of clients) socket.destroy();
  return { count, bytes, seconds };
}

function sum(clients: readonly LoadClient[], what: 'frames' | 'bytes'): number {
  return clients.reduce((all, client) => all + client[what], 0);
}

/** New connections one after the other, so many at a time. */
async function admit(order: LoadOrder): Promise<Partial<LoadReport>> {
  const begun = performance.now();
  const end = begun + order.seconds * 1000;
  let count = 0;
  await Promise.all(
    Array.from({ length: order.connections }, async () => {
      while (performance.now() < end) {
        const { socket } = await admitted(order);
        count += 1;
        socket.resetAndDestroy();
        await once(socket, 'close');
      }
    }),
  );
  return { count, seconds: (performance.now() - begun) / 1000 };
}

/** Connections that stay, begun within a second of each other. */
async function hold(order: LoadOrder): Promise<Partial<LoadReport>> {
  const begun = performance.now();
  const clients = await Promise.all(
    Array.from({ length: order.connections }, async (_, index) => {
      await setTimeout((index / order.connections) * order.seconds * 1000);
      return admitted(order);
    }),
  );
  held.push(...clients);
  const alive = clients.filter(({ socket }) => !socket.destroyed).length;
  return { count: alive, seconds: (performance.now() - begun) / 1000 };
}

async function drop(): Promise<Partial<LoadReport>> {
  const clients = held.splice(0);
  const closed = clients.filter(({ socket }) => !socket.closed).map(({ socket }) => once(socket, 'close'));
  for (const { socket } of clients) socket.destroy();
  await Promise.all(closed);
  return { count: clients.length };
}

/** One prompt each; resolves after the time of the order, however much was streamed until then. */
async function listen(order: LoadOrder, reads: boolean): Promise<Partial<LoadReport>> {
  const clients = await Promise.all(Array.from({ length: order.connections }, () => admitted(order)));
  const begun = performance.now();
  for (const client of clients) {
    const sessionId = randomUUID();
    await client.ask('session.create', { sessionId, streaming: true });
    await client.ask('session.send', { sessionId, prompt: order.prompt ?? '' });
    if (!reads) client.socket.pause();
  }
  await setTimeout(order.seconds * 1000);
  const [count, bytes] = [sum(clients, 'frames'), sum(clients, 'bytes')];
  for (const { socket } of clients) socket.destroy();
  return { count, bytes, seconds: (performance.now() - begun) / 1000 };
}

const work = {
  ask,
  stream,
  admit,
  hold,
  drop,
  read: (order: LoadOrder) => listen(order, true),
  stall: (order: LoadOrder) => listen(order, false),
};

async function carryOut(order: LoadOrder): Promise<void> {
  const before = process.cpuUsage();
  try {
    const report = await work[order.work](order);
    const { user, system } = process.cpuUsage(before);
    process.send?.({ count: 0, bytes: 0, seconds: 0, p50: 0, p99: 0, ...report, cpu: (user + system) / 1e6 });
  } catch (error) {
    process.send?.({ error: String(error) });
  }
}

process.on('message', (order: LoadOrder) => void carryOut(order));
process.send?.('ready');
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
