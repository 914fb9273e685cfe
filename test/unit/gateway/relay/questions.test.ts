// What a session asks its clients by an event and by a request, and what becomes of both.
import { describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld } from '../../../support/relay-world.ts';

const TIMEOUT_MS = 60_000;
const asks = { requestUserInput: true };

/** A session with a turn, in which the server asks. */
async function asking(declaration: object = asks) {
  const world = new RelayWorld({ permissionTimeoutMs: TIMEOUT_MS });
  const client = await world.attached('s', declaration);
  world.server.event('s', 'assistant.turn_start');
  world.server.event('s', 'user_input.requested', { requestId: 'r', question: 'sure?' });
  world.server.request(7, 'userInput.request', { sessionId: 's', question: 'sure?' });
  await settle();
  const open = (): number | undefined => world.relay.sessions()[0]?.openQuestions;
  return { world, client, open };
}

describe('a question to the user', () => {
  it('that a client answers by the event is asked of nobody by the request', async () => {
    const { world, client, open } = await asking();
    expect(client.asked('userInput.request')).toBeDefined();
    expect(open()).toBe(1);
    world.server.event('s', 'user_input.completed', { requestId: 'r' });
    expect(open()).toBe(0);
    const late = client.asked('userInput.request');
    client.send(JSON.stringify({ jsonrpc: '2.0', id: late?.id, result: { answer: 'late' } }));
    await settle();
    expect(world.server.answered(7)).toBeUndefined();
  });

  it('is open no longer when its turn was aborted', async () => {
    const { world, open } = await asking();
    world.server.event('s', 'abort');
    expect(open()).toBe(1);
    world.server.event('s', 'session.idle');
    expect(open()).toBe(0);
    expect(world.server.answered(7)?.error).toBeDefined();
  });

  it('that nobody comes to answer gets one answer, by the request', async () => {
    const { world, client, open } = await asking();
    client.leave();
    await world.clock.advance(TIMEOUT_MS);
    expect(world.server.answered(7)?.error).toBeDefined();
    expect(world.server.count('session.ui.handlePendingUserInput')).toBe(0);
    expect(open()).toBe(0);
  });

  it('that is asked by the event alone gets an answer by a call', async () => {
    const world = new RelayWorld({ permissionTimeoutMs: TIMEOUT_MS });
    const client = await world.attached('s');
    world.server.event('s', 'user_input.requested', { requestId: 'r', question: 'sure?' });
    client.leave();
    await world.clock.advance(TIMEOUT_MS);
    expect(world.server.last('session.ui.handlePendingUserInput').params).toMatchObject({
      sessionId: 's',
      requestId: 'r',
      response: { wasFreeform: true },
    });
  });
});

it('a hook whose client has left denies at once when the turn is aborted: the server waits for it', async () => {
  const { world, client } = await asking({ hooks: true });
  client.leave();
  world.server.request(8, 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
  expect(world.server.answered(8)).toBeUndefined();
  world.server.event('s', 'abort');
  await settle();
  expect(JSON.stringify(world.server.answered(8)?.result)).toContain('deny');
});

it('a session waits for clients only that have said that they answer', async () => {
  const { world } = await asking({});
  await world.clock.advance(TIMEOUT_MS);
  expect(world.server.answered(7)?.error).toBeDefined();
});
