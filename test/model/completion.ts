/** The chat-completions wire format, as far as a client of it needs: whole answers, streamed chunks, errors. */
import type { ErrorStep, TextStep, ToolCallStep } from './script.ts';

/** The part of a chat-completions request that decides the answer or is worth asserting on. */
export interface ChatRequest {
  model: string;
  stream: boolean;
  /** Whether the client asked for a last chunk with the token counts. */
  includeUsage: boolean;
  /** Text of the last user message, '' when there is none. */
  prompt: string;
  /** Roles of all messages, in order. */
  roles: string[];
  /** Names of the tools offered. */
  tools: string[];
  /** Text of the tool results after the last user message, in order. */
  toolResults: string[];
}

/** What the model says to everything that no script claims. */
export function defaultAnswer(prompt: string): string {
  // Agents put notes of their own, such as the time, before what the user wrote: <current_datetime>…</current_datetime>.
  const said = prompt.replace(/^(?:\s*<([a-z_]+)>[^<]*<\/\1>)+/, '');
  return `Hello from the test model! You said: ${said.trim()}`;
}

/** Reads a request body leniently: what is missing or odd counts as empty, as this model refuses nothing by itself. */
export function parseChatRequest(body: unknown): ChatRequest {
  const request = record(body);
  const messages = list(request['messages']).map(record);
  const lastUser = messages.findLastIndex((message) => message['role'] === 'user');
  const results = messages.slice(lastUser + 1).filter((message) => message['role'] === 'tool');
  return {
    model: typeof request['model'] === 'string' ? request['model'] : '',
    stream: request['stream'] === true,
    includeUsage: record(request['stream_options'])['include_usage'] === true,
    prompt: textOf(messages[lastUser]?.['content']),
    roles: messages.map((message) => String(message['role'])),
    tools: list(request['tools']).map((tool) => String(record(record(tool)['function'])['name'])),
    toolResults: results.map((message) => textOf(message['content'])),
  };
}

/** Pieces of a streamed text: `chunks` about equal ones, or one a word. Joined they are the text again. */
export function pieces({ text, chunks }: TextStep): string[] {
  if (chunks === undefined) return text.match(/\s*\S+\s*$|\s*\S+|\s+$/g) ?? [text];
  const size = Math.max(1, Math.ceil(text.length / chunks));
  const count = Math.max(1, Math.ceil(text.length / size));
  return Array.from({ length: count }, (_, index) => text.slice(index * size, (index + 1) * size));
}

type Delta = Record<string, unknown>;

/** Identity of one answer; id and time are given by the caller, so that the answer is a function of its inputs. */
export interface AnswerHead {
  id: string;
  created: number;
  model: string;
}

export function completionBody(head: AnswerHead, step: TextStep | ToolCallStep, prompt: string): object {
  const message =
    'toolCall' in step
      ? { role: 'assistant', content: null, tool_calls: [toolCallOf(head, step)] }
      : { role: 'assistant', content: step.text };
  const choices = [{ index: 0, message, finish_reason: finishReason(step) }];
  return { ...head, object: 'chat.completion', choices, usage: usage(prompt, step) };
}

export function chunkBody(head: AnswerHead, delta: Delta, finish: string | null = null): object {
  return { ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] };
}

export function usageChunk(head: AnswerHead, step: TextStep | ToolCallStep, prompt: string): object {
  return { ...head, object: 'chat.completion.chunk', choices: [], usage: usage(prompt, step) };
}

export function toolCallDelta(head: AnswerHead, step: ToolCallStep): Delta {
  return { role: 'assistant', tool_calls: [{ index: 0, ...toolCallOf(head, step) }] };
}

export function finishReason(step: TextStep | ToolCallStep): string {
  return 'toolCall' in step ? 'tool_calls' : 'stop';
}

export function errorBody({ status, message, code }: ErrorStep['error']): object {
  const said = message ?? `scripted error ${status}`;
  return { error: { message: said, type: 'scripted_error', code: code ?? String(status) } };
}

function toolCallOf(head: AnswerHead, { toolCall }: ToolCallStep): object {
  const call = { name: toolCall.name, arguments: JSON.stringify(toolCall.arguments) };
  return { id: `call_${head.id}`, type: 'function', function: call };
}

// Four characters a token is close enough: clients only need counts that are there and grow with the text.
export function usage(
  prompt: string,
  step: TextStep | ToolCallStep,
): { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number } {
  const tokens = (text: string): number => Math.ceil(text.length / 4);
  const completion = tokens('toolCall' in step ? JSON.stringify(step.toolCall) : step.text);
  const input = tokens(prompt);
  return { prompt_tokens: input, completion_tokens: completion, total_tokens: input + completion };
}

export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return list(content)
    .map((part) => record(part)['text'])
    .filter((text) => typeof text === 'string')
    .join('');
}

export function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
