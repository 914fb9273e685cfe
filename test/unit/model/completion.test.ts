import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { completionBody, defaultAnswer, parseChatRequest, pieces } from '../../model/completion.ts';

const head = { id: 'chatcmpl-1', created: 1, model: 'test-model' };

describe('a chat request', () => {
  it('has the last user message as its prompt, whether text or parts', () => {
    const messages = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'first' },
      { role: 'assistant', content: 'ok' },
      { role: 'user', content: [{ type: 'text', text: 'se' }, { type: 'image_url' }, { type: 'text', text: 'cond' }] },
    ];
    const request = parseChatRequest({ model: 'm', messages });
    expect(request).toMatchObject({ prompt: 'second', roles: ['system', 'user', 'assistant', 'user'], stream: false });
  });

  it('keeps its prompt while a tool is being called, and shows the results of this turn only', () => {
    const messages = [
      { role: 'user', content: 'before' },
      { role: 'tool', content: 'old result' },
      { role: 'user', content: 'list the files' },
      { role: 'assistant', tool_calls: [{}] },
      { role: 'tool', content: 'README.md' },
    ];
    const tools = [{ type: 'function', function: { name: 'bash' } }];
    const request = parseChatRequest({ messages, tools, stream: true, stream_options: { include_usage: true } });
    expect(request).toMatchObject({ prompt: 'list the files', toolResults: ['README.md'], tools: ['bash'] });
    expect(request).toMatchObject({ stream: true, includeUsage: true });
  });

  it.each([null, 'text', {}, { messages: 'none' }, { messages: [null] }])('of any shape is read: %j', (body) => {
    expect(parseChatRequest(body)).toMatchObject({ prompt: '', model: '' });
  });
});

describe('an answer', () => {
  it('says what it was asked when nothing is scripted', () => {
    expect(defaultAnswer(' What is a pod?\n')).toBe('Hello from the test model! You said: What is a pod?');
  });

  it('leaves out the notes that an agent puts before the prompt', () => {
    const prompt = '<current_datetime>2026-01-01T00:00:00Z</current_datetime>\n\nIs <b>1</b> odd?';
    expect(defaultAnswer(prompt)).toBe('Hello from the test model! You said: Is <b>1</b> odd?');
  });

  it('is the text again when its pieces are joined', () => {
    fc.assert(
      fc.property(fc.string(), fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }), (text, chunks) => {
        const parts = pieces({ text, ...(chunks !== undefined && { chunks }) });
        expect(parts.join('')).toBe(text);
        expect(parts.length).toBeGreaterThan(0);
      }),
    );
  });

  it('comes in the number of pieces asked for, or one a word', () => {
    expect(pieces({ text: 'abcdef', chunks: 3 })).toEqual(['ab', 'cd', 'ef']);
    expect(pieces({ text: 'one two  three' })).toEqual(['one', ' two', '  three']);
  });

  it('that calls a tool carries its arguments as JSON text', () => {
    const step = { toolCall: { name: 'bash', arguments: { command: 'ls' } } };
    expect(completionBody(head, step, 'p')).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: { tool_calls: [{ type: 'function', function: { name: 'bash', arguments: '{"command":"ls"}' } }] },
        },
      ],
    });
  });
});
