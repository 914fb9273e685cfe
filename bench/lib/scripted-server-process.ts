// A server with a script as a process of its own. A prompt is answered with the frames of a turn that was recorded of the CLI, or with those again
// and again where it says for how long.
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { ScriptedServer } from '../../test/support/scripted-server.ts';
import type { StreamOrder } from './proxies.ts';
import { RECORDED_SESSION } from './recorded-turn.ts';

const [host = '', port = '', token = '', recording = ''] = process.argv.slice(2);
/** As many bytes as a reader takes at once. */
const WRITE_BYTES = 64 * 1024;

const recorded = recording === '' ? '' : readFileSync(recording, 'latin1');
const turns = new Map<string, Buffer>();

function turnOf(sessionId: string): Buffer {
  const known = turns.get(sessionId);
  if (known !== undefined) return known;
  const frames = Buffer.from(recorded.replaceAll(RECORDED_SESSION, sessionId), 'latin1');
  turns.set(sessionId, frames);
  return frames;
}

function* slices(frames: Buffer): Iterable<Buffer> {
  for (let at = 0; at < frames.length; at += WRITE_BYTES) yield frames.subarray(at, at + WRITE_BYTES);
}

/** At an even pace, whoever reads it: so that two readers make the server and what is before it do the same. */
async function* paced(frames: Buffer, { bytes, bytesPerSecond }: StreamOrder): AsyncIterable<Buffer> {
  const begun = performance.now();
  for (let sent = 0; sent < bytes;) {
    for (const slice of slices(frames)) {
      yield slice;
      sent += slice.length;
      const early = (sent / bytesPerSecond) * 1000 - (performance.now() - begun);
      if (early > 1) await setTimeout(early);
    }
  }
}

function turn(sessionId: string, prompt: string): Iterable<Buffer> | AsyncIterable<Buffer> {
  const frames = turnOf(sessionId);
  return prompt.startsWith('{') ? paced(frames, JSON.parse(prompt) as StreamOrder) : slices(frames);
}

const server = await ScriptedServer.listen({ host, port: Number(port), token, turn });
process.send?.(server.address);
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
