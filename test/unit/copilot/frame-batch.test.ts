import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { FrameBatch, encodeFrame } from '../../../src/copilot/index.ts';

it('has the frames that were added, in their order, whether their bodies are text or bytes', () => {
  const bodies = fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.boolean()));
  fc.assert(
    fc.property(bodies, (added) => {
      const batch = new FrameBatch();
      const lengths = added.map(([body, isText]) => batch.add(isText ? body : Buffer.from(body)));
      const frames = added.map(([body]) => encodeFrame(body));
      expect(lengths).toEqual(frames.map((frame) => Buffer.byteLength(frame)));
      expect(batch.bytes).toBe(Buffer.byteLength(frames.join('')));
      expect(batch.take().frames.toString()).toBe(frames.join(''));
    }),
  );
});

it('is empty when they were taken, and leaves those alone', () => {
  const batch = new FrameBatch();
  batch.add('first');
  const { frames: taken } = batch.take();
  expect(batch.bytes).toBe(0);
  batch.add('other');
  expect(taken.toString()).toBe(encodeFrame('first'));
  expect(batch.take().frames.toString()).toBe(encodeFrame('other'));
});

it('has what a body is to begin with before it', () => {
  const batch = new FrameBatch();
  const lengths = [batch.add('ä', 'F'), batch.add(Buffer.from('ö'), 'FF')];
  expect(batch.take().frames.toString()).toBe(encodeFrame('Fä') + encodeFrame('FFö'));
  expect(lengths).toEqual([encodeFrame('Fä'), encodeFrame('FFö')].map((frame) => Buffer.byteLength(frame)));
});

it('copies bytes, whose memory is used again', () => {
  const batch = new FrameBatch();
  const body = Buffer.from('before');
  batch.add(body);
  body.write('after!');
  expect(batch.take().frames.toString()).toBe(encodeFrame('before'));
});

it('hands over no more memory than the frames take', () => {
  const batch = new FrameBatch();
  for (let n = 0; n < 1_001; n += 1) batch.add('x'.repeat(100));
  const { frames: taken } = batch.take();
  expect(taken.buffer.byteLength).toBe(taken.length);
});
