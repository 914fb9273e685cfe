import { describe, expect, it } from '@jest/globals';
import { admission, endsWait, isPiece, isTracked, waitOf } from '../../../../src/gateway/relay/journal/events.ts';

const limits = { softQueueBytes: 100, hardQueueBytes: 1000 };

describe('a frame for a client', () => {
  it.each([
    ['assistant.message_delta', 100, 'Send'],
    ['assistant.message_delta', 101, 'Drop'],
    ['model.messages_snapshot', 101, 'Drop'],
    ['assistant.message', 101, 'Send'],
    ['session.idle', 1000, 'Send'],
    [undefined, 1000, 'Send'],
    ['session.idle', 1001, 'Cut'],
    [undefined, 1001, 'Cut'],
  ])('%s with %d bytes to read: %s', (type, queued, expected) => {
    expect(admission(type, queued, limits)).toBe(expected);
  });
});

it('nothing that is looked into, or that somebody waits for, is a piece', () => {
  const needed = ['session.idle', 'session.error', 'permission.requested', 'external_tool.requested', 'user.message'];
  expect(needed.filter(isPiece)).toEqual([]);
  expect(['assistant.streaming_delta', 'model.call_start'].filter(isTracked)).toEqual([]);
});

describe('what an event asks', () => {
  it('of all, or of one that declared it', () => {
    expect(waitOf('permission.requested', {})?.audience).toBe('All');
    expect(waitOf('external_tool.requested', {})).toMatchObject({ audience: 'One', list: 'tools', name: 'toolName' });
    expect(waitOf('session.idle', {})).toBeUndefined();
    expect(waitOf('toString', {})).toBeUndefined();
  });

  it('nothing when a hook has decided already', () => {
    expect(waitOf('permission.requested', { resolvedByHook: true })).toBeUndefined();
  });

  it('until it is completed', () => {
    expect(endsWait('permission.completed')).toBe(true);
    expect(endsWait('permission.requested')).toBe(false);
  });
});
