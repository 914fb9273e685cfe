// A server with a script as a process of its own. A prompt is answered with the frames of a turn that was recorded of the CLI, or with those again
// and again where it says for how long.
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { ScriptedServer } from '../../test/support/scripted-server.ts';
import type { StreamOrder } from './proxies.ts';
import { RECORDED_SESSION } from './recorded-turn.ts';

const [host = '', port = '', token = '', recording = ''] = process.argv.slice(2);
/** About as many bytes as a reader takes at once. */
const WRITE_BYTES = 64 * 1024;

const recorded = recording === '' ? '' : readFileSync(recording, 'latin1');
/** The id of the prompt in the recording. */
const recordedMessage = /"messageId":"([0-9a-f-]{36})"/.exec(recorded)?.[1] ?? 'none';
/** In the ids of events, the digits that are other ones in each turn: a gateway tells no event of a journal twice. */
const EVENT_ID = /"(?:id|parentId)":"(?=[0-9a-f]{8}-)/g;
const turns = new Map<string, Turns>();
let lastTurn = 0;

/** Those of one session. */
interface Turns {
  readonly frames: Buffer;
  /** Where each write ends: behind a frame, because other sessions write to the same connection. */
  readonly ends: readonly number[];
  /** Where ids of events stand, and where the id of the prompt does. */
  readonly eventsAt: readonly number[];
  readonly messageAt: readonly number[];
}

/** One more turn, whose frames take the place of those of the turn before, which has ended. */
function nextTurn(sessionId: string, messageId: string): Turns {
  const session = turns.get(sessionId) ?? newTurns(sessionId);
  turns.set(sessionId, session);
  lastTurn += 1;
  const digits = lastTurn.toString(16).padStart(8, '0');
  for (const at of session.eventsAt) session.frames.write(digits, at, 'latin1');
  for (const at of session.messageAt) session.frames.write(messageId, at, 'latin1');
  return session;
}

function newTurns(sessionId: string): Turns {
  const frames = recorded.replaceAll(RECORDED_SESSION, sessionId);
  const placesOf = (pattern: RegExp): number[] =>
    [...frames.matchAll(pattern)].map((match) => match.index + match[0].length);
  return {
    frames: Buffer.from(frames, 'latin1'),
    ends: endsOf(frames),
    eventsAt: placesOf(EVENT_ID),
    messageAt: [...frames.matchAll(new RegExp(recordedMessage, 'g'))].map(({ index }) => index),
  };
}

function endsOf(frames: string): number[] {
  const ends: number[] = [];
  let end = 0;
  for (const { index } of frames.matchAll(/Content-Length: /gi)) {
    if (index - (ends.at(-1) ?? 0) > WRITE_BYTES) ends.push(end);
    end = index;
  }
  return [...ends, frames.length];
}

function* slices(frames: Buffer, ends: readonly number[]): Iterable<Buffer> {
  for (const [index, end] of ends.entries()) yield frames.subarray(ends[index - 1] ?? 0, end);
}

/** At an even pace, whoever reads it: so that two readers make the server and what is before it do the same. */
async function* paced(next: () => Turns, { bytes, bytesPerSecond }: StreamOrder): AsyncIterable<Buffer> {
  const begun = performance.now();
  for (let sent = 0; sent < bytes;) {
    const { frames, ends } = next();
    // A copy: those of before may not have been taken yet.
    for (const slice of slices(Buffer.from(frames), ends)) {
      yield slice;
      sent += slice.length;
      const early = (sent / bytesPerSecond) * 1000 - (performance.now() - begun);
      if (early > 1) await setTimeout(early);
    }
  }
}

function turn(sessionId: string, prompt: string, messageId: string): Iterable<Buffer> | AsyncIterable<Buffer> {
  const next = (): Turns => nextTurn(sessionId, messageId);
  if (prompt.startsWith('{')) return paced(next, JSON.parse(prompt) as StreamOrder);
  const { frames, ends } = next();
  return slices(frames, ends);
}

const server = await ScriptedServer.listen({ host, port: Number(port), token, turn });
process.send?.(server.address);
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
