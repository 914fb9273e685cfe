/**
 * An OpenAI-compatible chat server whose answers a test writes while it runs. It speaks to anything that takes a base URL:
 * POST …/chat/completions and …/responses (streamed or not) and GET …/models; tests use POST and DELETE /script, GET and DELETE /requests.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  chunkBody,
  completionBody,
  defaultAnswer,
  errorBody,
  finishReason,
  parseChatRequest,
  pieces,
  toolCallDelta,
  usageChunk,
} from './completion.ts';
import type { AnswerHead, ChatRequest } from './completion.ts';
import { parseResponsesRequest, responseBody, responseEvents } from './responses.ts';
import { parseRule, Script, ScriptError } from './script.ts';
import type { ErrorStep, Step, TextStep, ToolCallStep } from './script.ts';

/** One model request as `GET /requests` tells it: what came in, and how the answer ended. */
export interface JournalEntry extends Partial<ChatRequest> {
  id: number;
  /** ISO 8601, when the request came in. */
  time: string;
  method: string;
  path: string;
  headers: Record<string, string | string[] | undefined>;
  status: number;
  /** `aborted` when the client went away before the answer was complete. */
  outcome: 'running' | 'completed' | 'aborted';
}

export interface ModelOptions {
  /** The one model that `/models` lists. Any model name is answered. Default `test-model`. */
  model?: string;
  /** How many requests the journal keeps; older ones fall out. Default 1000. */
  journalSize?: number;
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;

export function createModelServer({ model = 'test-model', journalSize = 1000 }: ModelOptions = {}): Server {
  const script = new Script();
  const journal: JournalEntry[] = [];
  let lastId = 0;

  const record = (request: IncomingMessage, path: string): JournalEntry => {
    lastId += 1;
    const { method = '', headers } = request;
    const time = new Date().toISOString();
    const entry: JournalEntry = {
      id: lastId,
      time,
      method,
      path,
      headers: { ...headers },
      status: 0,
      outcome: 'running',
    };
    journal.push(entry);
    if (journal.length > journalSize) journal.shift();
    return entry;
  };

  const control: Record<string, (request: IncomingMessage, url: URL) => Promise<unknown>> = {
    'GET /healthz': async () => ({ ok: true }),
    'POST /script': async (request) => {
      script.add(parseRule(await readJson(request)));
      return { rules: script.size };
    },
    'DELETE /script': async () => {
      script.clear();
      return { rules: 0 };
    },
    // `?match=` keeps the requests whose prompt contains it, so that parallel tests don't see each other's.
    'GET /requests': async (_request, url) => {
      const match = url.searchParams.get('match') ?? '';
      return { requests: journal.filter((entry) => (entry.prompt ?? '').includes(match)) };
    },
    'DELETE /requests': async () => {
      journal.length = 0;
      return { requests: [] };
    },
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://model');
    const route = control[`${request.method} ${url.pathname}`];
    if (route) return sendJson(response, 200, await route(request, url));

    const entry = record(request, `${url.pathname}${url.search}`);
    response.on('close', () => {
      entry.status = response.statusCode;
      entry.outcome = response.writableFinished ? 'completed' : 'aborted';
    });
    if (request.method === 'GET' && url.pathname.endsWith('/models'))
      return sendJson(response, 200, {
        object: 'list',
        data: [{ id: model, object: 'model', created: 0, owned_by: 'test' }],
      });
    const isResponses = url.pathname.endsWith('/responses');
    if (request.method !== 'POST' || !(isResponses || url.pathname.endsWith('/chat/completions')))
      return sendJson(response, 404, {
        error: { message: `no route ${request.method} ${url.pathname}`, type: 'not_found' },
      });

    const body = await readJson(request);
    const chat = isResponses ? parseResponsesRequest(body) : parseChatRequest(body);
    Object.assign(entry, chat);
    const head: AnswerHead = {
      id: `chatcmpl-${entry.id}`,
      created: Math.floor(Date.parse(entry.time) / 1000),
      model: chat.model,
    };
    const step = script.next(chat.prompt) ?? { text: defaultAnswer(chat.prompt) };
    if (isResponses) await respond(response, head, chat, step);
    else await answer(response, head, chat, step);
  };

  return createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      const status = error instanceof ScriptError || error instanceof SyntaxError ? 400 : 500;
      if (response.headersSent) response.destroy(error as Error);
      else sendJson(response, status, { error: { message: String(error), type: 'invalid_request' } });
    });
  });
}

async function answer(response: ServerResponse, head: AnswerHead, chat: ChatRequest, step: Step): Promise<void> {
  if ('error' in step) return sendError(response, step);
  if (chat.stream) return stream(response, head, chat, step);
  const gone = goneSignal(response);
  if ('text' in step && step.delayMs !== undefined) await pause(step.delayMs * pieces(step).length, gone);
  if (!gone.aborted) sendJson(response, 200, completionBody(head, step, chat.prompt));
}

async function respond(response: ServerResponse, head: AnswerHead, chat: ChatRequest, step: Step): Promise<void> {
  if ('error' in step) return sendError(response, step);
  const gone = goneSignal(response);
  const delayMs = 'text' in step ? (step.delayMs ?? 0) : 0;
  if (!chat.stream) {
    if ('text' in step) await pause(delayMs * pieces(step).length, gone);
    return gone.aborted ? undefined : sendJson(response, 200, responseBody(head, step, chat.prompt));
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.flushHeaders();
  for (const [sequence, { isPiece, ...event }] of responseEvents(head, step, chat.prompt).entries()) {
    if (isPiece === true) await pause(delayMs, gone);
    if (gone.aborted) return;
    const data = JSON.stringify({ ...event, sequence_number: sequence });
    response.write(`event: ${event['type']}\ndata: ${data}\n\n`);
  }
  response.end();
}

async function stream(
  response: ServerResponse,
  head: AnswerHead,
  chat: ChatRequest,
  step: TextStep | ToolCallStep,
): Promise<void> {
  const gone = goneSignal(response);
  const send = (data: object | string): void => {
    response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
  };
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.flushHeaders();
  if ('toolCall' in step) send(chunkBody(head, toolCallDelta(head, step)));
  else
    for (const [index, piece] of pieces(step).entries()) {
      if (step.delayMs !== undefined) await pause(step.delayMs, gone);
      if (gone.aborted) return;
      send(chunkBody(head, index === 0 ? { role: 'assistant', content: piece } : { content: piece }));
    }
  send(chunkBody(head, {}, finishReason(step)));
  if (chat.includeUsage) send(usageChunk(head, step, chat.prompt));
  send('[DONE]');
  response.end();
}

function sendError(response: ServerResponse, { error }: ErrorStep): void {
  if (error.retryAfterSeconds !== undefined) response.setHeader('retry-after', error.retryAfterSeconds);
  sendJson(response, error.status, errorBody(error));
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BODY_BYTES) throw new ScriptError(`the body is larger than ${MAX_BODY_BYTES} bytes`);
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown;
}

/** Aborts when the client has gone, so that a slow answer to nobody ends at once. */
function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => controller.abort());
  return controller.signal;
}

async function pause(ms: number, gone: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal: gone });
  } catch (error) {
    if (!gone.aborted) throw error;
  }
}
