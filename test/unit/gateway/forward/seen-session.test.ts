// What the holder of a client keeps of its prompts, of which a home that does not say their end may make many.
import { describe, expect, it } from '@jest/globals';
import { SeenSession } from '../../../../src/gateway/forward/seen-session.ts';

const SEND = 'session.send';
const MOST = 4096;

/** A session with as many prompts as are kept, of a client that goes on to send some. */
function full(): { readonly session: SeenSession; readonly clock: { now: number }; readonly send: () => unknown } {
  const clock = { now: 0 };
  const session = new SeenSession('s', { sessionId: 's' }, true, () => clock.now);
  let id = 0;
  const send = () => {
    id += 1;
    const prompt = session.sent(id, SEND, { sessionId: 's', prompt: '/help' });
    if (prompt !== undefined) session.answered(prompt, { messageId: `m${id}` });
    return prompt;
  };
  // Each of them counts twice: itself, and its message.
  for (let sent = 0; sent < MOST / 2; sent += 1) send();
  return { session, clock, send };
}

it('a client that attaches once more leaves what it does not state as it was', () => {
  const tools = [{ name: 'x' }];
  const session = new SeenSession('s', { sessionId: 's', tools, hooks: true }, true, () => 0);
  session.attached({ sessionId: 's', hooks: false }, true);
  expect(session.state.declaration).toEqual({ sessionId: 's', tools, hooks: false });
});

describe('prompts of which no end comes', () => {
  it('are no more than a home keeps', () => {
    const { session, send } = full();
    expect(send()).toBeUndefined();
    expect(session.state.course.prompts).toHaveLength(MOST / 2);
  });

  it('make room when they are known to be commands', () => {
    const { session, clock, send } = full();
    clock.now += 60_000;
    expect(send()).toBeDefined();
    expect(session.state.course.prompts).toHaveLength(1);
  });
});
