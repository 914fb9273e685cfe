import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { EventRuns, FrameDecoder, encodeFrame, formatAnswer, formatNotification } from '../../../src/copilot/index.ts';

const PASSED = ['assistant.message_delta', 'assistant.streaming_delta', 'model.x'];
const UNREAD_BY_RUNS = ['session.idle', 'assistant.message_deltas', 'assistant.message'];

interface Taken {
  /** Bodies, in the order in which they were handed on. */
  readonly bodies: string[];
  /** Those that came in runs, by session. */
  readonly inRuns: { readonly sessionId: string; readonly bodies: string[] }[];
  bodyBytes: number;
}

/** What becomes of bytes that arrive in these chunks, if only `sessions` take runs. */
function taken(chunks: readonly Buffer[], sessions: readonly string[], maxBodyBytes = 100_000): Taken {
  const found: Taken = { bodies: [], inRuns: [], bodyBytes: 0 };
  const takerOf = (sessionId: string) =>
    !sessions.includes(sessionId)
      ? undefined
      : {
          takeRun: ({ frames, count, bodyBytes }: { frames: Buffer; count: number; bodyBytes: number }) => {
            const bodies: string[] = [];
            new FrameDecoder((body) => bodies.push(body.toString())).push(Buffer.from(frames));
            expect(bodies.length).toBe(count);
            found.bodies.push(...bodies);
            found.inRuns.push({ sessionId, bodies });
            found.bodyBytes += bodyBytes;
          },
        };
  const decoder = new FrameDecoder((body) => found.bodies.push(body.toString()));
  decoder.allow(maxBodyBytes, { begun: () => undefined, part: () => undefined, ended: () => undefined });
  decoder.offer(new EventRuns({ isPassed: (type) => PASSED.includes(type), takerOf }));
  for (const chunk of chunks) decoder.push(chunk);
  return found;
}

const event = (sessionId: string, type: string, data: object = {}): string =>
  formatNotification('session.event', { sessionId, event: { type, data, id: 'e' } });

const session = fc.constantFrom('s', 'a-longer-id', '00000000-0000-4000-8000-000000000000');
const body = fc.oneof(
  fc
    .tuple(session, fc.constantFrom(...PASSED, ...UNREAD_BY_RUNS), fc.string())
    .map(([id, type, x]) => event(id, type, { x })),
  fc.tuple(fc.nat(), fc.string()).map(([id, x]) => formatAnswer(id, { x })),
  // Which no server writes.
  fc.string({ minLength: 1 }),
  session.map((id) => event(id, 'model.x').slice(0, 70)),
);
const frame = fc.oneof(
  { weight: 5, arbitrary: body.map(encodeFrame) },
  { weight: 1, arbitrary: body.map((each) => encodeFrame(each).replace('Length: ', 'length:0')) },
);

it('hands on every body once and in its order, however the stream is chunked', () => {
  fc.assert(
    fc.property(fc.array(frame), fc.array(fc.nat(300)), fc.subarray(['s', 'a-longer-id']), (frames, cuts, sessions) => {
      const stream = Buffer.from(frames.join(''));
      const chunks: Buffer[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(stream.subarray(at, at + cut));
        at += cut;
      }
      chunks.push(stream.subarray(at));
      const expected: string[] = [];
      new FrameDecoder((each) => expected.push(each.toString())).push(stream);
      const { bodies, inRuns, bodyBytes } = taken(chunks, sessions);
      expect(bodies).toEqual(expected);
      expect(bodyBytes).toBe(Buffer.byteLength(inRuns.flatMap((run) => run.bodies).join('')));
      for (const { sessionId, bodies: inRun } of inRuns) {
        for (const each of inRun) {
          const { params } = JSON.parse(each) as { params: { sessionId: string; event: { type: string } } };
          expect([sessionId, PASSED.includes(params.event.type)]).toEqual([params.sessionId, true]);
        }
      }
    }),
  );
});

it('makes one run of what comes together of one session, of whatever types are passed on', () => {
  const bodies = ['assistant.streaming_delta', 'assistant.message_delta', 'model.x', 'assistant.message_delta'].map(
    (type) => event('s', type),
  );
  const stream = Buffer.from([...bodies, event('s', 'session.idle')].map(encodeFrame).join(''));
  // Types are learned from the events themselves.
  const { inRuns } = taken([stream, stream], ['s']);
  expect(inRuns.at(-1)).toEqual({ sessionId: 's', bodies });
});

it('ends a run at another session, and asks who takes that', () => {
  const stream = Buffer.from(['s', 's', 't', 'u'].map((id) => encodeFrame(event(id, 'model.x'))).join(''));
  const { inRuns, bodies } = taken([stream], ['s', 't']);
  expect(inRuns.map((run) => [run.sessionId, run.bodies.length])).toEqual([
    ['s', 2],
    ['t', 1],
  ]);
  expect(bodies.length).toBe(4);
});

it('does not take a session for one whose id begins with the same characters', () => {
  const stream = Buffer.from(['s', 'st', 's'].map((id) => encodeFrame(event(id, 'model.x'))).join(''));
  expect(taken([stream], ['s', 'st']).inRuns.map((run) => run.sessionId)).toEqual(['s', 'st', 's']);
});

it('leaves frames alone that are larger than is allowed', () => {
  const stream = Buffer.from(encodeFrame(event('s', 'model.x', { x: 'x'.repeat(500) })));
  expect(taken([stream], ['s'], 400)).toEqual({ bodies: [], inRuns: [], bodyBytes: 0 });
});

it('does not take a type from what is behind the body', () => {
  const whole = event('s', 'model.x');
  const cut = whole.indexOf('model.x');
  const stream = Buffer.from(`Content-Length: ${cut}\r\n\r\n${whole.slice(0, cut)}`);
  const behind = Buffer.from(encodeFrame(whole));
  const { inRuns } = taken([behind, stream, behind], ['s']);
  expect(inRuns.map((run) => run.bodies)).toEqual([[whole], [whole]]);
});
