// What a session asks that none of the clients which are attached has declared: who is waited for, and what is answered at once.
import { describe, expect, it } from '@jest/globals';
import { Attached } from '../../../../src/gateway/relay/setup/attached.ts';
import { Expected } from '../../../../src/gateway/relay/asking/expected.ts';
import { decideNobody } from '../../../../src/gateway/relay/nobody.ts';
import type { ClientEnd } from '../../../support/relay-world.ts';
import { RelayWorld } from '../../../support/relay-world.ts';
import { settle } from '../../../support/fake-clock.ts';

const TIMEOUT_MS = 60_000;
const DENIED = { output: { permissionDecision: 'deny' } };
const transform = { systemMessage: { sections: { identity: { action: 'transform' } } } };

/** Two clients of a session, of which the first declares this and the second `others`. */
async function two(declared: object, others: object = {}) {
  const world = new RelayWorld({ permissionTimeoutMs: TIMEOUT_MS });
  const first = await world.attached('s', declared);
  const second = await world.attached('s', others);
  return { world, first, second };
}

async function detach(world: RelayWorld, client: ClientEnd): Promise<void> {
  client.call('session.detach', { sessionId: 's' });
  await settle();
  world.server.answer(world.server.last('session.resume').id, {});
  await settle();
}

/** A turn of the client has begun. */
async function begin(world: RelayWorld, client: ClientEnd): Promise<void> {
  client.call('session.send', { sessionId: 's', prompt: 'p' });
  await settle();
  world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
  world.server.event('s', 'assistant.turn_start');
}

let lastId = 0;

/** What the gateway has answered at once to such a request; undefined: it is held. */
async function answeredAtOnce(world: RelayWorld, method: string, params: object = {}) {
  lastId += 1;
  world.server.request(lastId, method, { sessionId: 's', ...params });
  await settle();
  return world.server.answered(lastId);
}

const hook = (world: RelayWorld, hookType = 'preToolUse') => answeredAtOnce(world, 'hooks.invoke', { hookType });

describe('a hook', () => {
  it('that no client declares any more decides nothing, is counted, and is logged once', async () => {
    const { world, first, second } = await two({ hooks: true });
    await detach(world, first);
    await begin(world, second);
    for (const type of ['preToolUse', 'postToolUse', 'preToolUse'])
      expect((await hook(world, type))?.result).toEqual({});
    expect(await world.counted('passed_hooks_total')).toEqual({ '': 3 });
    expect(await world.counted('unattended_total')).toEqual({});
    const lines = world.logged.filter((fields) => 'asked' in fields);
    expect(lines).toEqual([
      { server: expect.any(String), session: 's', asked: 'hooks.invoke', reason: 'NobodyDeclares' },
    ]);
  });

  it('of a client that was lost between two turns, or that attached once more without hooks, decides nothing', async () => {
    const lost = await two({ hooks: true });
    lost.first.leave();
    await begin(lost.world, lost.second);
    expect((await hook(lost.world))?.result).toEqual({});
    const again = await two({ hooks: true });
    await again.world.attach(again.first, 's', { hooks: false });
    await begin(again.world, again.second);
    expect((await hook(again.world))?.result).toEqual({});
  });

  it('denies until the end of the turn in which its client has left', async () => {
    const { world, first, second } = await two({ hooks: true });
    await begin(world, second);
    first.leave();
    await settle();
    for (const _ of [1, 2]) expect((await hook(world))?.result).toMatchObject(DENIED);
    world.server.event('s', 'session.idle');
    await begin(world, second);
    expect((await hook(world))?.result).toEqual({});
    expect(await world.counted('unattended_total')).toEqual({ 'hooks.invoke': 2 });
    expect(await world.counted('passed_hooks_total')).toEqual({ '': 1 });
  });

  it('denies in a turn of which only the prompt was sent when its client has left', async () => {
    const { world, first, second } = await two({ hooks: true });
    second.call('session.send', { sessionId: 's', prompt: 'p' });
    await settle();
    first.leave();
    world.server.event('s', 'assistant.turn_start');
    expect((await hook(world))?.result).toMatchObject(DENIED);
  });

  it('denies that its client was asked when it left, whether or not a turn runs', async () => {
    const { world, first } = await two({ hooks: true });
    world.server.request('h', 'hooks.invoke', { sessionId: 's', hookType: 'preToolUse' });
    expect(first.asked('hooks.invoke')).toBeDefined();
    expect(world.server.answered('h')).toBeUndefined();
    first.leave();
    expect(world.server.answered('h')?.result).toMatchObject(DENIED);
  });

  it('of the only client, which is lost in a turn, is held, and denies while others attach without hooks', async () => {
    const world = new RelayWorld({ permissionTimeoutMs: TIMEOUT_MS });
    const client = await world.attached('s', { hooks: true });
    await begin(world, client);
    client.leave();
    expect(await hook(world)).toBeUndefined();
    const held = lastId;
    const next = await world.attached('s');
    expect((await hook(world))?.result).toMatchObject(DENIED);
    expect(world.server.answered(held)).toBeUndefined();
    await world.clock.advance(TIMEOUT_MS);
    expect(world.server.answered(held)?.result).toMatchObject(DENIED);
    world.server.event('s', 'session.idle');
    await begin(world, next);
    expect((await hook(world))?.result).toEqual({});
  });

  it('of which no client is left decides nothing', async () => {
    const { world, first, second } = await two({ hooks: true });
    await detach(world, first);
    await begin(world, second);
    second.leave();
    expect((await hook(world))?.result).toEqual({});
  });

  it('is asked of a client that declares hooks again', async () => {
    const { world, first, second } = await two({ hooks: true });
    await detach(world, first);
    await world.attach(second, 's', { hooks: true });
    expect(await hook(world)).toBeUndefined();
    expect(second.asked('hooks.invoke')).toBeDefined();
  });
});

describe('what a program of a client would answer', () => {
  it.each([
    ['systemMessage.transform', transform, {}],
    ['providerToken.getToken', { provider: { hasBearerTokenProvider: true } }, {}],
    ['gitHubToken.getToken', { gitHubTokenProviderRegistrationId: 'r' }, { registrationId: 'r' }],
    ['canvas.open', { canvases: [{ id: 'c' }] }, {}],
  ])('%s fails at once when no client declares it any more', async (method, declared, params) => {
    const { world, first, second } = await two(declared);
    await detach(world, first);
    await begin(world, second);
    expect((await answeredAtOnce(world, method, params))?.error).toMatchObject({ code: -32603 });
    expect(await world.counted('unattended_total')).toEqual({ [method]: 1 });
  });

  it('is held for a client that has left in the turn', async () => {
    const { world, first, second } = await two(transform);
    await begin(world, second);
    await detach(world, first);
    expect(await answeredAtOnce(world, 'systemMessage.transform')).toBeUndefined();
    const back = await world.attached('s', transform);
    expect(back.asked('systemMessage.transform')).toBeDefined();
  });

  it('is held while nobody is there', async () => {
    const { world, first, second } = await two(transform);
    await detach(world, first);
    await begin(world, second);
    second.leave();
    expect(await answeredAtOnce(world, 'systemMessage.transform')).toBeUndefined();
  });
});

describe('a permission', () => {
  const ask = async (world: RelayWorld) => {
    world.server.event('s', 'permission.requested', { requestId: 'p' });
    await settle();
    return world.server.count('session.permissions.handlePendingPermissionRequest');
  };

  it('is rejected at once when no client says any more that it answers', async () => {
    const { world, first, second } = await two({ requestPermission: true });
    await detach(world, first);
    await begin(world, second);
    expect(await ask(world)).toBe(1);
    expect(world.server.last('session.permissions.handlePendingPermissionRequest').params).toMatchObject({
      requestId: 'p',
      result: { kind: 'reject' },
    });
  });

  it('is rejected at once in the turn of the only client, which has just said that it does not answer any more', async () => {
    const world = new RelayWorld();
    const client = await world.attached('s', { requestPermission: true });
    await world.attach(client, 's', { requestPermission: false });
    await begin(world, client);
    expect(await ask(world)).toBe(1);
  });

  it('waits if nobody has ever said that it answers: the server asks for another reason', async () => {
    const { world, second } = await two({});
    await begin(world, second);
    expect(await ask(world)).toBe(0);
  });

  it('waits for a client that has left in the turn, and for one that listens', async () => {
    const left = await two({ requestPermission: true });
    await begin(left.world, left.second);
    left.first.leave();
    expect(await ask(left.world)).toBe(0);
    const listening = await two({ requestPermission: true }, { observePromptEvents: true });
    await detach(listening.world, listening.first);
    await begin(listening.world, listening.second);
    expect(await ask(listening.world)).toBe(0);
  });
});

it('a question to a person is held, because it is asked by an event as well', async () => {
  const { world, first, second } = await two({ requestUserInput: true });
  await detach(world, first);
  await begin(world, second);
  expect(await answeredAtOnce(world, 'userInput.request')).toBeUndefined();
});

describe('who may come', () => {
  const turn = (isTaken = true) => ({ isTaken, ends: 0 });

  it('is not known of a turn that began at another home, until it ends', () => {
    const is = turn();
    const expected = new Expected(new Attached(), is);
    expect(expected.has('hooks')).toBe(false);
    expected.goesOn();
    expect(expected.has('hooks')).toBe(true);
    is.ends = 1;
    expect(expected.has('hooks')).toBe(false);
  });

  it('is not known outside of a turn, but of hooks', () => {
    const expected = new Expected(new Attached(), turn(false));
    expected.left({ hooks: true, ...transform });
    expect(['hooks', 'transform'].map((by) => expected.has(by))).toEqual([false, true]);
  });

  it('is everybody who has left in this turn, and nobody of the one before', () => {
    const is = turn();
    const expected = new Expected(new Attached(), is);
    expected.left({ hooks: true });
    expected.left({ requestPermission: true, gitHubTokenProviderRegistrationId: 'r', anything: true });
    const has = () => ['hooks', 'requestPermission', 'tokenRegistration'].map((by) => expected.has(by));
    expect(has()).toEqual([true, true, true]);
    is.ends = 1;
    expected.left({ requestPermission: true });
    expect(has()).toEqual([false, true, false]);
  });

  it('is not known of what nobody here has declared, but of hooks', () => {
    const expected = new Expected(new Attached(), turn());
    const has = () => ['hooks', 'transform'].map((by) => expected.has(by));
    expect(has()).toEqual([false, true]);
    expected.restated(transform);
    expect(has()).toEqual([false, false]);
  });
});

it.each([
  ['Hook', true, false, false, 'Hold', 'MayCome'],
  ['Hook', true, true, false, 'GiveUp', 'LeftInTurn'],
  ['Hook', true, false, true, 'GiveUp', 'Aborted'],
  ['Hook', false, true, false, 'Pass', 'NobodyDeclares'],
  ['Hook', false, false, false, 'Pass', 'NobodyDeclares'],
  ['Program', false, true, false, 'GiveUp', 'NobodyDeclares'],
  ['Program', false, false, false, 'Hold', 'MayCome'],
  ['Program', true, true, false, 'Hold', 'MayCome'],
  ['Person', false, true, false, 'Hold', 'MayCome'],
] as const)(
  'what a %s asks (expected: %s, others: %s, aborted: %s) comes to %s: %s',
  (asks, isExpected, hasOthers, isAborted, action, reason) => {
    const message = expect.any(String);
    expect(decideNobody({ asks, isExpected, hasOthers, isAborted })).toEqual({ action, reason, message });
  },
);
