import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { BLOCK_BYTES } from '../../../src/copilot/blocks.ts';
import { FrameDecoder, ProtocolError, encodeFrame, type FrameLimits } from '../../../src/copilot/index.ts';
import { BAD_HEADERS } from '../../support/bad-headers.ts';

/** Feeds the chunks and returns the bodies that came out. */
function decode(chunks: readonly Buffer[], limits?: FrameLimits): string[] {
  const bodies: string[] = [];
  const decoder = new FrameDecoder((body) => bodies.push(body.toString()), limits);
  for (const chunk of chunks) decoder.push(chunk);
  expect(decoder.pendingBytes).toBe(0);
  return bodies;
}

/** The message of the error that these bytes end the stream with. */
function refusal(bytes: string | Buffer, limits?: FrameLimits): string {
  const decoder = new FrameDecoder(() => undefined, limits);
  try {
    decoder.push(Buffer.from(bytes));
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return (error as ProtocolError).message;
  }
  throw new Error('the decoder took it');
}

/** Cuts bytes at the given places, in any order. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

const bodies = fc.array(fc.oneof(fc.json(), fc.string({ unit: 'binary' })), { minLength: 1, maxLength: 5 });

describe('a decoder that borrows memory', () => {
  /** Bodies around the sizes from which, and up to which, they are borrowed for. */
  const sizes = fc.array(
    fc.oneof(fc.nat({ max: 100_000 }), fc.constantFrom(8_191, 8_192, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1)),
    { minLength: 1, maxLength: 5 },
  );

  it('gives the same bodies however the stream is split', () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.nat(), { maxLength: 30 }), (lengths, places) => {
        const sent = lengths.map((length, index) => String(index).repeat(length));
        const chunks = cut(Buffer.from(sent.map(encodeFrame).join('')), places);
        expect(decode(chunks, { borrows: true })).toEqual(sent);
      }),
      { numRuns: 50 },
    );
  });

  /** Pushes a body in two pieces. */
  const pushIn = (decoder: FrameDecoder, body: string): void =>
    cut(Buffer.from(encodeFrame(body)), [20_000]).forEach((chunk) => decoder.push(chunk));

  it('uses the memory of one body for the next, but for none while the first is still read', () => {
    const read: Buffer[] = [];
    const inner = new FrameDecoder((body) => read.push(body), { borrows: true });
    const outer = new FrameDecoder(
      (body) => {
        read.push(body);
        if (read.length > 1) return;
        pushIn(inner, 'b'.repeat(40_000));
        expect(body.toString()).toBe('a'.repeat(40_000));
      },
      { borrows: true },
    );
    pushIn(outer, 'a'.repeat(40_000));
    pushIn(outer, 'c'.repeat(40_000));
    const memory = new Set(read.map(({ buffer }) => buffer));
    expect(read).toHaveLength(3);
    expect(memory.size).toBe(2);
  });

  it('lends a block to nobody else while a body is incomplete', () => {
    const decoded: string[] = [];
    const decoders = ['a', 'b'].map(() => new FrameDecoder((body) => decoded.push(body.toString()), { borrows: true }));
    const frames = ['a', 'b'].map((letter) => cut(Buffer.from(encodeFrame(letter.repeat(40_000))), [20_000]));
    for (const piece of [0, 1]) {
      decoders.forEach((decoder, index) => decoder.push(frames[index]?.[piece] ?? Buffer.alloc(0)));
    }
    expect(decoded).toEqual(['a'.repeat(40_000), 'b'.repeat(40_000)]);
  });
});

describe('the frame decoder', () => {
  it('gives back the bodies that were encoded', () => {
    fc.assert(
      fc.property(bodies, (sent) => {
        expect(decode([Buffer.from(sent.map(encodeFrame).join(''))])).toEqual(sent);
      }),
    );
  });

  it('gives the same bodies however the stream is split', () => {
    fc.assert(
      fc.property(bodies, fc.array(fc.nat(), { maxLength: 12 }), (sent, places) => {
        expect(decode(cut(Buffer.from(sent.map(encodeFrame).join('')), places))).toEqual(sent);
      }),
    );
  });

  it('gives the same bodies for every way to split two frames in three, and byte by byte', () => {
    const sent = ['{"id":1,"text":"äß€😀"}', '{}'];
    const stream = Buffer.from(sent.map(encodeFrame).join(''));
    for (let first = 0; first <= stream.length; first += 1) {
      for (let second = first; second <= stream.length; second += 1) {
        expect(decode([stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)])).toEqual(
          sent,
        );
      }
    }
    expect(decode(Array.from(stream, (byte) => Buffer.from([byte])))).toEqual(sent);
  });

  it('hands out bodies that outlive the reuse of a chunk once they were split over chunks', () => {
    const seen: string[] = [];
    const decoder = new FrameDecoder((body) => seen.push(body.toString()));
    const reused = Buffer.alloc(16);
    const stream = Buffer.from(encodeFrame('{"a":"bcdefghijklmnopqrstuvwxyz"}'));
    for (let at = 0; at < stream.length; at += reused.length) {
      const length = stream.copy(reused, 0, at);
      decoder.push(reused.subarray(0, length));
    }
    expect(seen).toEqual(['{"a":"bcdefghijklmnopqrstuvwxyz"}']);
  });

  it.each([
    ['a lower-case name', 'content-length: 2\r\n\r\n{}'],
    ['no space and trailing blanks', 'Content-Length:2 \t\r\n\r\n{}'],
    ['a Content-Type', 'Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}'],
  ])('takes a header with %s', (_, stream) => {
    expect(decode([Buffer.from(stream)])).toEqual(['{}']);
  });

  it('gives an empty body for a length of 0, for the reader of messages to refuse', () => {
    expect(decode([Buffer.from('Content-Length: 0\r\n\r\n')])).toEqual(['']);
  });

  it.each(BAD_HEADERS)('refuses %s and says so', (_, stream, found) => {
    expect(refusal(stream)).toContain(found);
  });

  it('throws the same error for every split of a bad header', () => {
    for (const stream of ['Content-Length: -1\r\n\r\n', 'Content-Length: 2\r\nContent-Length: 2\r\n\r\n']) {
      const whole = refusal(stream);
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 6 }), (places) => {
          expect(() => decode(cut(Buffer.from(stream), places))).toThrow(whole);
        }),
      );
    }
  });

  it('accepts nothing more once it has refused something', () => {
    const decoder = new FrameDecoder(() => undefined);
    expect(() => decoder.push(Buffer.from('nonsense\r\n'))).toThrow(ProtocolError);
    expect(() => decoder.push(Buffer.from(encodeFrame('{}')))).toThrow('nonsense');
  });

  it('survives any bytes: bodies or a ProtocolError', () => {
    const pieces = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom('Content-Length: ', '\r\n', '\r\n\r\n', '7', '-', '{}', 'a: b').map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (chunks) => {
        const decoder = new FrameDecoder(() => undefined, { maxBodyBytes: 1000 });
        try {
          for (const chunk of chunks) decoder.push(chunk);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('takes a body of exactly the limit and refuses one byte more', () => {
    expect(decode([Buffer.from(encodeFrame('x'.repeat(100)))], { maxBodyBytes: 100 })).toHaveLength(1);
    expect(refusal(encodeFrame('x'.repeat(101)), { maxBodyBytes: 100 })).toContain('more than the 100 allowed');
  });

  it('reserves memory for what has arrived, not for what was announced', () => {
    const decoder = new FrameDecoder(() => undefined);
    decoder.push(Buffer.from(`Content-Length: ${16 * 1024 * 1024}\r\n\r\n`));
    expect(decoder.reservedBytes).toBeLessThan(1024);
    for (let sent = 1; sent <= 3000; sent += 1) {
      decoder.push(Buffer.from('x'));
      expect(decoder.reservedBytes).toBeLessThanOrEqual(Math.max(64, 2 * sent));
    }
  });

  it('never reserves more than the body in progress, and nothing between frames', () => {
    const decoder = new FrameDecoder(() => undefined, { maxBodyBytes: 10_000 });
    const frame = Buffer.from(encodeFrame('x'.repeat(10_000)));
    for (let at = 0; at < frame.length; at += 3000) {
      decoder.push(frame.subarray(at, at + 3000));
      expect(decoder.reservedBytes).toBeLessThanOrEqual(10_000);
    }
    expect(decoder.reservedBytes).toBe(0);
  });

  describe('once it allows larger bodies', () => {
    /** What comes out when bodies of more than 10 bytes are skipped. */
    function decodeAll(chunks: readonly Buffer[]): string[] {
      const seen: string[] = [];
      const decoder = new FrameDecoder((body) => seen.push(body.toString()), { maxBodyBytes: 4 });
      decoder.allow(10, {
        begun: (length) => seen.push(`${length}:`),
        part: (bytes) => {
          seen[seen.length - 1] += bytes.toString();
          expect(decoder.reservedBytes).toBeLessThanOrEqual(4096);
        },
        ended: () => seen.push('ended'),
      });
      for (const chunk of chunks) decoder.push(chunk);
      expect(decoder.pendingBytes).toBe(0);
      return seen;
    }

    it('hands out those beyond in parts, however the stream is split, and reads what follows', () => {
      const stream = Buffer.from(['{"a":1234}', 'x'.repeat(11), '{}', 'y'.repeat(300), ''].map(encodeFrame).join(''));
      const expected = ['{"a":1234}', `11:${'x'.repeat(11)}`, 'ended', '{}', `300:${'y'.repeat(300)}`, 'ended', ''];
      expect(decodeAll([stream])).toEqual(expected);
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 12 }), (places) => {
          expect(decodeAll(cut(stream, places))).toEqual(expected);
        }),
      );
    });

    it('hands out a body that is abandoned, wherever that happens, and reads what follows', () => {
      const frame = encodeFrame('{"a":1234}');
      for (let at = 0; at <= frame.length; at += 1) {
        const seen: string[] = [];
        const decoder = new FrameDecoder((body) => seen.push(body.toString()));
        const begun = (length: number) => seen.push(`${length}:`);
        const part = (bytes: Buffer) => (seen[seen.length - 1] += bytes.toString());
        decoder.allow(10, { begun, part, ended: () => seen.push('ended') });
        decoder.push(Buffer.from(frame.slice(0, at)));
        decoder.abandon();
        decoder.abandon();
        expect(decoder.reservedBytes).toBeLessThanOrEqual(at > frame.length - 10 ? 0 : 64);
        decoder.push(Buffer.from(frame.slice(at) + encodeFrame('{}')));
        const isInBody = at >= frame.length - 10 && at < frame.length;
        expect(seen).toEqual(isInBody ? ['10:{"a":1234}', 'ended', '{}'] : ['{"a":1234}', '{}']);
      }
    });

    it('refuses two lengths as ever, also behind one that is too large', () => {
      expect(() => decodeAll([Buffer.from('Content-Length: 99\r\nContent-Length: 2\r\n\r\n{}')])).toThrow(
        'two Content-Length',
      );
    });
  });
});
