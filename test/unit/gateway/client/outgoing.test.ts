import { beforeEach, describe, expect, it } from '@jest/globals';
import { Duplex } from 'node:stream';
import { encodeFrame } from '../../../../src/copilot/index.ts';
import { Outgoing } from '../../../../src/gateway/client/outgoing.ts';
import { UnreadMemory } from '../../../../src/gateway/client/unread-memory.ts';
import { settle } from '../../../support/fake-clock.ts';

const KIB = 1024;

/** A connection whose other end reads one write whenever the test says so. */
class Held extends Duplex {
  readonly written: Buffer[] = [];
  #done: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _: unknown, done: () => void): void {
    this.written.push(chunk);
    this.#done = done;
  }

  async read1(): Promise<void> {
    this.#done?.();
    await settle();
  }

  get text(): string {
    return Buffer.concat(this.written).toString();
  }
}

let stream: Held;
let outgoing: Outgoing;

beforeEach(() => {
  stream = new Held();
  outgoing = new Outgoing(stream);
});

/** Sends so many frames of 150 bytes, each in a turn of its own. Returns them. */
async function sendEach(count: number): Promise<string> {
  const bodies = Array.from({ length: count }, (_, n) => String(n).padStart(128, '.'));
  for (const body of bodies) {
    outgoing.send(body);
    await Promise.resolve();
    await new Promise<void>((resolve) => process.nextTick(resolve));
  }
  return bodies.map(encodeFrame).join('');
}

describe('frames for a client that does not read', () => {
  it('are few writes of much, which arrive in their order', async () => {
    const sent = await sendEach(2_000);
    expect([stream.written.length, outgoing.queuedBytes]).toEqual([1, sent.length]);
    while (outgoing.queuedBytes > 0) await stream.read1();
    expect(stream.text).toBe(sent);
    const [first = 0, ...rest] = stream.written.map(({ length }) => length);
    expect([first, rest.length]).toEqual([sent.length / 2_000, Math.ceil(sent.length / (64 * KIB))]);
  });

  it('are in memory with at most twice their bytes', async () => {
    await sendEach(2_000);
    while (outgoing.queuedBytes > 0) await stream.read1();
    // Small pieces of memory are parts of a common one.
    const large = stream.written.filter(({ length }) => length > 4 * KIB);
    for (const { buffer, length } of large) expect(buffer.byteLength).toBeLessThanOrEqual(2 * length);
    expect(large.length).toBeGreaterThan(0);
  });

  it('count at once, not when they are written', async () => {
    const memory = new UnreadMemory({ total: 10_000, free: 0 });
    const closed: string[] = [];
    outgoing.admit('team/acme', memory, ({ reason }) => closed.push(reason));
    const sent = await sendEach(60);
    expect([memory.total, closed]).toEqual([sent.length, []]);
    while (outgoing.queuedBytes > 0) await stream.read1();
    expect(memory.total).toBe(0);
    await sendEach(67);
    expect(closed).toEqual(['UnreadLimit']);
  });

  it('are written before the connection ends', async () => {
    const sent = await sendEach(10);
    outgoing.flush();
    stream.end();
    while (!stream.writableFinished) await stream.read1();
    expect(stream.text).toBe(sent);
  });

  it('are forgotten with a connection that broke', async () => {
    await sendEach(10);
    stream.destroy();
    await settle();
    expect([stream.written.length, stream.errored]).toEqual([1, null]);
  });
});

it('sends frames of one turn by one write, without waiting for more', async () => {
  const frames = ['a', 'b', 'c'];
  for (const frame of frames) outgoing.send(frame);
  await settle();
  expect(stream.written.map(String)).toEqual([frames.map(encodeFrame).join('')]);
  await stream.read1();
  outgoing.send('d');
  await settle();
  expect(stream.written).toHaveLength(2);
});

it('does not use the memory of what was not read yet for anything else', async () => {
  const first = 'a'.repeat(60 * KIB);
  outgoing.send(first);
  await settle();
  const other = new Held();
  const elsewhere = new Outgoing(other);
  for (const letter of ['b', 'c']) {
    elsewhere.send(letter.repeat(60 * KIB));
    await settle();
    await other.read1();
  }
  expect(stream.text).toBe(encodeFrame(first));
});
