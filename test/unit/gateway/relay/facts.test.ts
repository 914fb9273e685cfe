import { describe, expect, it } from '@jest/globals';
import { factOf, saysStop } from '../../../../src/gateway/relay/journal/facts.ts';

const failed = (message: string) => ({ type: 'session.error', data: { message } });

describe('a session.error in the journal', () => {
  it('ends the turn', () => {
    const event = failed('Execution failed: the model answered 500');
    expect(factOf('session.error', event)).toEqual({ kind: 'End' });
    expect(saysStop('session.error', event)).toBe(false);
  });

  it.each([
    'Execution failed: session event host was disconnected',
    'Execution failed: session event host disconnected before acknowledging the session.skills_loaded event',
  ])('does not if it only says that the server stops: %s', (message) => {
    expect(factOf('session.error', failed(message))).toBeUndefined();
    expect(saysStop('session.error', failed(message))).toBe(true);
  });

  it('that quotes such a message is one like others', () => {
    const event = failed('Execution failed: 400 "session event host was disconnected"');
    expect(saysStop('session.error', event)).toBe(false);
  });
});
