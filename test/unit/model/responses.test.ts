import { describe, expect, it } from '@jest/globals';
import { parseResponsesRequest, responseBody, responseEvents } from '../../model/responses.ts';

const head = { id: 'resp-1', created: 1, model: 'test-model' };
const call = { toolCall: { name: 'bash', arguments: { command: 'ls' } } };

describe('a request of the Responses API', () => {
  it('has the last user message as its prompt, and the results of this turn only', () => {
    const input = [
      { role: 'user', content: [{ type: 'input_text', text: 'before' }] },
      { type: 'function_call_output', call_id: 'c', output: 'old result' },
      { role: 'user', content: [{ type: 'input_text', text: 'list the files' }] },
      { type: 'function_call', call_id: 'd', name: 'bash', arguments: '{}' },
      { type: 'function_call_output', call_id: 'd', output: 'README.md' },
    ];
    const tools = [{ type: 'function', name: 'bash' }];
    expect(parseResponsesRequest({ model: 'm', input, tools, stream: true })).toMatchObject({
      model: 'm',
      prompt: 'list the files',
      toolResults: ['README.md'],
      tools: ['bash'],
      stream: true,
    });
  });

  it.each([null, 'text', {}, { input: [null] }, { input: 'hi' }])('of any shape is read: %j', (body) => {
    expect(parseResponsesRequest(body)).toMatchObject({ model: '', toolResults: [] });
  });
});

describe('an answer of the Responses API', () => {
  it('is streamed in pieces that are the text again, and ends with the whole of it', () => {
    const events = responseEvents(head, { text: 'one two three' }, 'p');
    const deltas = events.filter(({ isPiece }) => isPiece).map(({ delta }) => delta);
    expect(deltas).toEqual(['one', ' two', ' three']);
    expect(events.at(-1)).toEqual({
      type: 'response.completed',
      response: responseBody(head, { text: 'one two three' }, 'p'),
    });
    expect(events.at(-1)?.['response']).toMatchObject({ output: [{ content: [{ text: 'one two three' }] }] });
  });

  it('that calls a tool has its arguments as JSON', () => {
    const done = responseEvents(head, call, 'p').find(({ type }) => type === 'response.output_item.done');
    expect(done?.['item']).toMatchObject({ type: 'function_call', name: 'bash', arguments: '{"command":"ls"}' });
  });
});
