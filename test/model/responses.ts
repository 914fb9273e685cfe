/** The wire format of the Responses API, as far as a client of it needs: whole answers, and streamed ones as events. */
import type { AnswerHead, ChatRequest } from './completion.ts';
import { list, pieces, record, textOf, usage } from './completion.ts';
import type { TextStep, ToolCallStep } from './script.ts';

/** Reads a request body as leniently as that of chat completions. Without roles, an item is a tool call or its result. */
export function parseResponsesRequest(body: unknown): ChatRequest {
  const request = record(body);
  const { input } = request;
  const items = typeof input === 'string' ? [{ role: 'user', content: input }] : list(input).map(record);
  const lastUser = items.findLastIndex((item) => item['role'] === 'user');
  const results = items.slice(lastUser + 1).filter((item) => item['type'] === 'function_call_output');
  return {
    model: typeof request['model'] === 'string' ? request['model'] : '',
    stream: request['stream'] === true,
    includeUsage: true,
    prompt: textOf(items[lastUser]?.['content']),
    roles: items.map((item) => String(item['role'] ?? item['type'])),
    tools: list(request['tools']).map((tool) => String(record(tool)['name'])),
    toolResults: results.map((item) => textOf(item['output'])),
  };
}

export function responseBody(head: AnswerHead, step: TextStep | ToolCallStep, prompt: string): object {
  const { prompt_tokens: input_tokens, completion_tokens: output_tokens, total_tokens } = usage(prompt, step);
  return {
    ...begun(head),
    status: 'completed',
    output: [itemOf(head, step)],
    usage: { input_tokens, output_tokens, total_tokens },
  };
}

/** An event of a stream, and whether it is a piece of text, before which a slow model waits. */
export interface ResponseEvent {
  readonly type: string;
  readonly isPiece?: boolean;
  readonly [field: string]: unknown;
}

/** The events of a streamed answer, in order. */
export function responseEvents(head: AnswerHead, step: TextStep | ToolCallStep, prompt: string): ResponseEvent[] {
  const item = itemOf(head, step);
  const at = { item_id: item.id, output_index: 0 };
  const done = { type: 'response.output_item.done', output_index: 0, item };
  const completed = { type: 'response.completed', response: responseBody(head, step, prompt) };
  const created = { type: 'response.created', response: { ...begun(head), status: 'in_progress', output: [] } };
  if ('toolCall' in step) {
    const args = JSON.stringify(step.toolCall.arguments);
    return [
      created,
      { type: 'response.output_item.added', output_index: 0, item: { ...item, arguments: '', status: 'in_progress' } },
      { type: 'response.function_call_arguments.delta', ...at, delta: args },
      { type: 'response.function_call_arguments.done', ...at, arguments: args },
      done,
      completed,
    ];
  }
  const part = { ...at, content_index: 0 };
  return [
    created,
    { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [], status: 'in_progress' } },
    { type: 'response.content_part.added', ...part, part: { type: 'output_text', text: '', annotations: [] } },
    ...pieces(step).map((delta) => ({ type: 'response.output_text.delta', ...part, delta, isPiece: true })),
    { type: 'response.output_text.done', ...part, text: step.text },
    { type: 'response.content_part.done', ...part, part: { type: 'output_text', text: step.text, annotations: [] } },
    done,
    completed,
  ];
}

function begun({ id, created, model }: AnswerHead): object {
  return { id, object: 'response', created_at: created, model, error: null, incomplete_details: null };
}

/** What an answer consists of: its fields depend on its type. */
type Item = { readonly id: string } & Readonly<Record<string, unknown>>;

function itemOf({ id }: AnswerHead, step: TextStep | ToolCallStep): Item {
  if ('toolCall' in step) {
    const { name, arguments: args } = step.toolCall;
    const call = { call_id: `call_${id}`, name, arguments: JSON.stringify(args) };
    return { id: `fc_${id}`, ...call, type: 'function_call', status: 'completed' };
  }
  const content = [{ type: 'output_text', text: step.text, annotations: [] }];
  return { id: `msg_${id}`, type: 'message', role: 'assistant', status: 'completed', content };
}
