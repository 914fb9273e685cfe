// The test model over real HTTP: what the end-to-end tests rely on when they script it and read its journal.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createModelServer } from '../../model/server.ts';
import type { JournalEntry } from '../../model/server.ts';
import { waitFor } from '../../support/wait.ts';

let server: Server;
let url: string;

beforeEach(async () => {
  server = createModelServer({ journalSize: 3 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

const post = (path: string, body: unknown, init: RequestInit = {}) =>
  fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body), ...init });
const ask = (content: string, extra: object = {}, init: RequestInit = {}) =>
  post('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content }], ...extra }, init);
const answerOf = async (response: Response) =>
  ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
const journal = async (match = '') => {
  const response = await fetch(`${url}/requests?match=${encodeURIComponent(match)}`);
  return ((await response.json()) as { requests: JournalEntry[] }).requests;
};
const events = async (response: Response) =>
  (await response.text())
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''));

describe('the test model', () => {
  it('answers with the prompt when nothing is scripted', async () => {
    expect(await answerOf(await ask('hello'))).toBe('Hello from the test model! You said: hello');
  });

  it('streams the answer word by word, with the token counts when they are asked for', async () => {
    const response = await ask('hello', { stream: true, stream_options: { include_usage: true } });
    const all = await events(response);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(all.at(-1)).toBe('[DONE]');
    const chunks = all.slice(0, -1).map((data) => JSON.parse(data) as { choices: { delta: { content?: string } }[] });
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
    expect(text).toBe('Hello from the test model! You said: hello');
    expect(chunks.length).toBeGreaterThan(5);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 2 } });
  });

  it('calls a tool and takes the next step once the result is there', async () => {
    const toolCall = { name: 'bash', arguments: { command: 'ls' } };
    await post('/script', { match: 'files', steps: [{ toolCall }, { text: 'three files' }] });
    const [first] = await events(await ask('list the files', { stream: true }));
    expect(JSON.parse(String(first))).toMatchObject({
      choices: [{ delta: { tool_calls: [{ index: 0, function: { name: 'bash' } }] } }],
    });
    expect(await answerOf(await ask('list the files'))).toBe('three files');
  });

  it('refuses with the scripted status, once', async () => {
    await post('/script', { steps: [{ error: { status: 429, message: 'slow down', retryAfterSeconds: 2 } }] });
    const refused = await ask('hello');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2']);
    expect(await refused.json()).toMatchObject({ error: { message: 'slow down' } });
    expect((await ask('hello')).status).toBe(200);
  });

  it('takes the time that the script says', async () => {
    await post('/script', { steps: [{ text: 'abc', chunks: 3, delayMs: 40 }] });
    const start = performance.now();
    await (await ask('hello', { stream: true })).text();
    expect(performance.now() - start).toBeGreaterThanOrEqual(115);
  });

  it('stops a slow answer when the client goes away, and says so in the journal', async () => {
    await post('/script', { steps: [{ text: 'never read', delayMs: 60_000 }] });
    const abort = new AbortController();
    const response = await ask('slow', { stream: true }, { signal: abort.signal });
    abort.abort();
    await expect(response.text()).rejects.toThrow('aborted');
    await waitFor('the answer to be aborted', async () => (await journal('slow'))[0]?.outcome === 'aborted');
  });

  it('shows what the client sent', async () => {
    await ask('who am I', {}, { headers: { authorization: 'Bearer key-of-acme' } });
    // The client has its answer a moment before the journal is written.
    await waitFor('the answer to be complete', async () => (await journal('who am I'))[0]?.outcome === 'completed');
    expect(await journal('who am I')).toMatchObject([
      { method: 'POST', path: '/v1/chat/completions', status: 200, headers: { authorization: 'Bearer key-of-acme' } },
    ]);
    expect(await journal('somebody else')).toEqual([]);
  });

  it('keeps a bounded journal and empties it on request', async () => {
    for (const prompt of ['1', '2', '3', '4']) await ask(prompt);
    expect((await journal()).map(({ prompt }) => prompt)).toEqual(['2', '3', '4']);
    await fetch(`${url}/requests`, { method: 'DELETE' });
    expect(await journal()).toEqual([]);
  });

  it('drops a script on request', async () => {
    await post('/script', { repeat: true, steps: [{ text: 'scripted' }] });
    await fetch(`${url}/script`, { method: 'DELETE' });
    expect(await answerOf(await ask('hello'))).toMatch(/^Hello/);
  });

  it.each(['{', '{"steps":[{"txt":"x"}]}'])('refuses a script that it cannot obey: %s', async (body) => {
    const response = await fetch(`${url}/script`, { method: 'POST', body });
    expect(response.status).toBe(400);
  });

  it('is found under any base path, and lists its model', async () => {
    expect((await post('/tenant/openai/v1/chat/completions', { messages: [] })).status).toBe(200);
    expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ data: [{ id: 'test-model' }] });
    expect((await fetch(`${url}/v1/embeddings`)).status).toBe(404);
  });
});
