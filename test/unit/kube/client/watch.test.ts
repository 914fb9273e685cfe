import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { KubeObject, WatchEvent } from '../../../../src/kube/types/types.ts';
import { LineSplitter, watchEvents } from '../../../../src/kube/client/watch.ts';

const request = { method: 'WATCH', path: '/api/v1/pods' };
const added = (name: string): object => ({
  type: 'ADDED',
  object: { apiVersion: 'v1', kind: 'Pod', metadata: { name, resourceVersion: '1' } },
});

// oxlint-disable-next-line typescript/require-await -- a stream of chunks that are all there
async function* chunksOf(...chunks: (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function collect(chunks: AsyncIterable<Buffer>, maxLineBytes?: number): Promise<WatchEvent<KubeObject>[]> {
  const events: WatchEvent<KubeObject>[] = [];
  for await (const event of watchEvents(request, chunks, maxLineBytes)) events.push(event);
  return events;
}

describe('lines', () => {
  it('are the same wherever the chunks end, also inside a character', () => {
    const line = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !text.includes('\n'));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat({ max: 400 })), (lines, cuts) => {
        const whole = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const at = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
        const splitter = new LineSplitter();
        const found = at.slice(1).flatMap((end, i) => [...splitter.push(whole.subarray(at[i], end))]);
        expect(found).toEqual(lines.map((text) => Buffer.from(text).toString()));
        expect(splitter.pendingBytes).toBe(0);
      }),
    );
  });

  it('of any length up to the limit are accepted, longer ones refused, wherever the chunks end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (length, chunk) => {
        const splitter = new LineSplitter(20);
        const bytes = Buffer.from(`${'x'.repeat(length)}\n`);
        const push = (): string[] => {
          const found: string[] = [];
          for (let start = 0; start < bytes.length; start += chunk) {
            found.push(...splitter.push(bytes.subarray(start, start + chunk)));
          }
          return found;
        };
        if (length <= 20) expect(push()).toEqual(['x'.repeat(length)]);
        else expect(push).toThrow('a line is longer than 20 bytes');
      }),
    );
  });

  it('without an end are not buffered beyond the limit', () => {
    const splitter = new LineSplitter(1000);
    const push = (): void => {
      for (let i = 0; i < 100; i++) expect([...splitter.push(Buffer.alloc(64, 'x'))]).toEqual([]);
    };
    expect(push).toThrow(RangeError);
    expect(splitter.pendingBytes).toBeLessThanOrEqual(1000);
  });
});

describe('events of a watch', () => {
  it('arrive one by one, and end with a stream that ends between two lines', async () => {
    const lines = ['a', 'b', 'c'].map((name) => `${JSON.stringify(added(name))}\n`).join('');
    expect(await collect(chunksOf(lines.slice(0, 50), lines.slice(50)))).toEqual([added('a'), added('b'), added('c')]);
  });

  it('stop with "truncated" if the stream ends inside a line', async () => {
    const line = JSON.stringify(added('a'));
    const end = collect(chunksOf(`${line}\n`, line.slice(0, 20)));
    await expect(end).rejects.toMatchObject({ failure: 'truncated', path: '/api/v1/pods' });
  });

  it.each([
    ['text that is no JSON', '<html>'],
    ['half an object', '{"type":"ADDED","object":{'],
    ['no object', '"ADDED"'],
    ['null', 'null'],
    ['an unknown type', JSON.stringify({ ...added('a'), type: 'RENAMED' })],
    ['no object inside', '{"type":"ADDED"}'],
    ['an object without metadata', '{"type":"ADDED","object":{"kind":"Pod"}}'],
    ['an object without a name', '{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}}'],
    ['an object without a version', '{"type":"ADDED","object":{"metadata":{"name":"a"}}}'],
    ['a bookmark without a version', '{"type":"BOOKMARK","object":{"metadata":{}}}'],
  ])('stop with "protocol" at %s, and nothing after it is trusted', async (_, line) => {
    const received: unknown[] = [];
    const read = async (): Promise<void> => {
      const chunks = chunksOf(`${JSON.stringify(added('a'))}\n${line}\n${JSON.stringify(added('b'))}\n`);
      for await (const event of watchEvents(request, chunks)) received.push(event);
    };
    await expect(read()).rejects.toMatchObject({ failure: 'protocol' });
    expect(received).toEqual([added('a')]);
  });

  it('stop with "protocol" at a line that is too long', async () => {
    await expect(collect(chunksOf('x'.repeat(200)), 100)).rejects.toMatchObject({ failure: 'protocol' });
  });

  it('of a long list yield to the event loop between two chunks', async () => {
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const chunk = `${JSON.stringify(added('a'))}\n`.repeat(10);
    const events = await collect(chunksOf(...Array.from({ length: 100 }, () => chunk)));
    counting = false;
    expect(events).toHaveLength(1000);
    expect(turns).toBeGreaterThanOrEqual(100);
  });
});
