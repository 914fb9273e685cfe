// The frames of a real turn of the CLI, for a server that repeats them faster than the CLI can.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame } from '../../src/copilot/index.ts';
import { CopilotServer } from '../../test/support/copilot-server.ts';
import { TestModel } from '../../test/support/model.ts';
import { RawClient, type RawMessage } from '../../test/support/raw-client.ts';
import { waitFor } from '../../test/support/wait.ts';

/** The session of the recording; as long as the ids that replace it. */
export const RECORDED_SESSION = '00000000-0000-4000-8000-000000000000';

/** Pieces in which the model answers. */
const PIECES = 200;
const TOKEN = 'recorded';

export interface Recording extends Disposable {
  /** Its frames one behind the other. */
  readonly file: string;
  readonly frames: number;
  readonly bytes: number;
  /** Length of the frame in the middle, in bytes. */
  readonly medianBytes: number;
}

/** Records the events of the second turn of a session: the first one has what is only said once. */
export async function recordTurn(): Promise<Recording> {
  using model = await TestModel.start();
  await using cli = await CopilotServer.start('cli', TOKEN);
  const client = await haveTurn(cli, TOKEN, model);
  const frames = (await turn(client, 4, model, PIECES)).map((event) => encodeFrame(JSON.stringify(event)));
  client.stream.destroy();
  const dir = mkdtempSync(join(tmpdir(), 'recorded-turn-'));
  const file = join(dir, 'frames');
  const sizes = frames.map((frame) => Buffer.byteLength(frame)).toSorted((a, b) => a - b);
  writeFileSync(file, frames.join(''));
  return {
    file,
    frames: frames.length,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    medianBytes: sizes[sizes.length >> 1] ?? 0,
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}

/** Has the server make the session and run a turn of it. Returns the client. */
export async function haveTurn(cli: CopilotServer, token: string, model: TestModel): Promise<RawClient> {
  const { model: name, provider } = model.bind(cli, token);
  const client = new RawClient(connect(cli.port, cli.host));
  client.connect(token);
  await client.answer(1);
  const create = { sessionId: RECORDED_SESSION, model: name, provider, streaming: true };
  client.send({ id: 2, method: 'session.create', params: create });
  await client.answer(2, 60_000);
  await turn(client, 3, model, 2);
  return client;
}

async function turn(client: RawClient, id: number, model: TestModel, chunks: number): Promise<RawMessage[]> {
  const first = client.received.length;
  const prompt = `prompt ${id}`;
  await model.say({ match: prompt, steps: [{ text: 'a few words '.repeat(chunks), chunks }] });
  client.send({ id, method: 'session.send', params: { sessionId: RECORDED_SESSION, prompt } });
  const events = (): RawMessage[] => client.received.slice(first).filter(({ method }) => method === 'session.event');
  const isIdle = ({ params }: RawMessage): boolean =>
    (params?.['event'] as { type?: string } | undefined)?.type === 'session.idle';
  await waitFor('the end of the turn', () => events().some(isIdle), { withinMs: 60_000 });
  return events();
}
