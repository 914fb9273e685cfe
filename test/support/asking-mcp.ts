/** An MCP server over stdio whose tools ask: `elicit` asks the user, `sample` a model of the client. Each answers with what it was answered. */
import { createInterface } from 'node:readline';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly protocolVersion?: string; readonly name?: string };
  readonly result?: unknown;
  readonly error?: unknown;
}

const inputSchema = { type: 'object', properties: {} };
const requestedSchema = { type: 'object', properties: { word: { type: 'string' } } };
const messages = [{ role: 'user', content: { type: 'text', text: 'a word?' } }];

/** What each tool asks. */
const QUESTIONS: Readonly<Record<string, { readonly method: string; readonly params: object }>> = {
  elicit: { method: 'elicitation/create', params: { message: 'a word?', requestedSchema } },
  sample: { method: 'sampling/createMessage', params: { messages, maxTokens: 10 } },
};

/** Calls of tools that wait for an answer, by the id of what they have asked. */
const waiting = new Map<Message['id'], Message['id']>();

function send(message: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

function take({ id, method, params, result, error }: Message): void {
  // A notification has no answer.
  if (id === undefined) return;
  if (method === undefined) {
    const text = JSON.stringify(result ?? error);
    return send({ id: waiting.get(id), result: { content: [{ type: 'text', text }] } });
  }
  const question = method === 'tools/call' ? QUESTIONS[params?.name ?? ''] : undefined;
  if (question !== undefined) {
    const asked = `asked-${waiting.size}`;
    waiting.set(asked, id);
    return send({ id: asked, ...question });
  }
  const results: Readonly<Record<string, object>> = {
    initialize: {
      protocolVersion: params?.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'asking', version: '1.0.0' },
    },
    'tools/list': { tools: Object.keys(QUESTIONS).map((name) => ({ name, description: name, inputSchema })) },
  };
  send({ id, result: results[method] ?? {} });
}

for await (const line of createInterface({ input: process.stdin })) take(JSON.parse(line) as Message);
