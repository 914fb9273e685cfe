// What the relay does for users who are kept apart, frame by frame.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { STAMP_KEY, makeStamp } from '../../../../src/gateway/ownership/stamp.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd, type Frame } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';
import { stampKey } from '../../../support/static-ownership.ts';

const LOOK = 'sessions.getClientMetadata';
const STAMP = 'session.metadata.updateClientMetadata';

let world: RelayWorld;
let alice: ClientEnd;
let bob: ClientEnd;

beforeEach(() => {
  world = new RelayWorld();
  world.fleet.change({ isolation: 'SharedTrusted' });
  [alice, bob] = [world.client(TENANT, 'alice'), world.client(TENANT, 'bob')];
});

function stampOf(sessionId: string, owner: string): string {
  const session = { namespace: TENANT.namespace, tenant: TENANT.name, sessionId };
  return makeStamp(session, owner, stampKey('first'), (size) => Buffer.alloc(size, 7));
}

/** Answers the last look at a session: with its owner, with none (`Unstamped`), or that there is no session (`Absent`). */
async function stored(sessionId: string, owner: string): Promise<void> {
  await settle();
  const metadata = owner === 'Unstamped' ? {} : { [STAMP_KEY]: stampOf(sessionId, owner) };
  const entry = owner === 'Absent' ? { status: 'notFound' } : { status: 'ok', metadata };
  world.server.answer(world.server.last(LOOK).id, [{ sessionId, ...entry }]);
  await settle();
}

/** A session that the user makes and that is stamped. */
async function made(client: ClientEnd, sessionId: string): Promise<void> {
  const id = client.call('session.create', { sessionId });
  await stored(sessionId, 'Absent');
  world.server.answer(world.server.last('session.create').id, { sessionId });
  await settle();
  world.server.answer(world.server.last(STAMP).id, {});
  await settle();
  expect(client.answer(id)?.result).toEqual({ sessionId });
}

const paramsOf = (frame: Frame) => frame.params ?? {};

describe('a session', () => {
  it('is stamped before its maker has the answer, and before anything else is done with it', async () => {
    const id = alice.call('session.create', { sessionId: 's' });
    await stored('s', 'Absent');
    const send = alice.call('session.send', { sessionId: 's', prompt: 'x' });
    world.server.answer(world.server.last('session.create').id, { sessionId: 's' });
    await settle();
    expect(alice.answer(id)).toBeUndefined();
    expect(world.server.count('session.send')).toBe(0);
    const { set } = paramsOf(world.server.last(STAMP)) as { set: Record<string, string> };
    expect(set['copilot-operator.dev/owner']).toBe('alice');
    world.server.answer(world.server.last(STAMP).id, {});
    await settle();
    expect(alice.answer(id)?.result).toEqual({ sessionId: 's' });
    world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
    await settle();
    expect(alice.answer(send)?.result).toEqual({ messageId: 'm' });
  });

  it("whose answer its maker's connection cannot read is answered by an error, and can be attached to", async () => {
    const id = alice.call('session.create', { sessionId: 's' });
    await stored('s', 'Absent');
    world.server.send(`{"jsonrpc":"2.0","id":${world.server.last('session.create').id},"result":{{{`);
    await settle();
    world.server.answer(world.server.last(STAMP).id, {});
    await settle();
    expect(alice.answer(id)?.error?.code).toBe(-32050);
    const again = alice.call('session.resume', { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
    await settle();
    world.server.answer(world.server.last(STAMP).id, {});
    await settle();
    expect(alice.answer(again)?.result).toEqual({ sessionId: 's' });
  });

  it('that cannot be stamped is deleted, and its maker told', async () => {
    const id = alice.call('session.create', { sessionId: 's' });
    await stored('s', 'Absent');
    world.server.answer(world.server.last('session.create').id, { sessionId: 's' });
    await settle();
    world.server.refuse(world.server.last(STAMP).id, 'no space left');
    await settle();
    world.server.answer(world.server.last('session.delete').id, { success: true });
    await settle();
    expect(alice.answer(id)?.error?.code).toBe(-32050);
    // The id is nobody's again.
    bob.call('session.create', { sessionId: 's' });
    await stored('s', 'Absent');
    expect(world.server.count('session.create')).toBe(2);
  });

  it('with an id of the gateway’s own needs no look, because nobody can have it', async () => {
    alice.call('session.create', {});
    await settle();
    expect(world.server.count(LOOK)).toBe(0);
    expect(world.server.count('session.create')).toBe(1);
  });

  it('is made by the first of two who ask for the same id, and the other one is told that it is in use', async () => {
    alice.call('session.create', { sessionId: 's' });
    await settle();
    const first = world.server.last(LOOK).id;
    const id = bob.call('session.create', { sessionId: 's' });
    await settle();
    const absent = [{ sessionId: 's', status: 'notFound' }];
    world.server.answer(first, absent);
    world.server.answer(world.server.last(LOOK).id, absent);
    await settle();
    expect(bob.answer(id)?.error?.data).toEqual({ rule: 'SessionIdTaken', parameter: 'sessionId' });
  });
});

describe('a call', () => {
  it('about an own session is looked up once, and goes on in order', async () => {
    const [first, second] = [
      alice.call('session.mode.get', { sessionId: 's' }),
      alice.call('session.name.get', { sessionId: 's' }),
    ];
    await settle();
    expect(world.server.received.map(({ method }) => method)).toEqual(['connect', LOOK]);
    await stored('s', 'alice');
    alice.call('session.mode.get', { sessionId: 's' });
    await settle();
    const after = world.server.received.slice(2);
    expect(after.map(({ method }) => method)).toEqual(['session.mode.get', 'session.name.get', 'session.mode.get']);
    expect(after.map((frame) => paramsOf(frame)['sessionId'])).toEqual(['s', 's', 's']);
    expect([first, second].map((id) => alice.answer(id))).toEqual([undefined, undefined]);
  });

  it.each(['bob', 'Unstamped', 'Absent'])(
    'about a session of %s is about an unused id, and answered with the id that was meant',
    async (owner) => {
      const id = alice.call('session.mode.get', { sessionId: 'of "bob"' });
      await stored('of "bob"', owner);
      const frame = world.server.last('session.mode.get');
      const unused = String(paramsOf(frame)['sessionId']);
      expect(unused).toMatch(/^[0-9a-f-]{36}$/);
      world.server.refuse(frame.id, `Session not found for sessionId: ${unused}`);
      await settle();
      expect(alice.answer(id)?.error?.message).toBe('Session not found for sessionId: of "bob"');
    },
  );

  it('about a session of somebody else is looked up again each time, as one that does not exist', async () => {
    await made(bob, 's');
    const before = world.server.count(LOOK);
    for (const times of [1, 2]) {
      alice.call('session.mode.get', { sessionId: 's' });
      await stored('s', 'bob');
      expect(world.server.count(LOOK)).toBe(before + times);
    }
  });

  it('that makes a session of an id which no server takes is refused, and no server asked', async () => {
    const id = alice.call('session.create', { sessionId: '../s' });
    await settle();
    expect(alice.answer(id)?.error?.message).toContain('letters, digits, _ and -');
    expect(world.dials).toEqual([]);
  });

  it.each([1, true, ['s'], { s: 1 }])('with the session id %j is refused', async (sessionId) => {
    const id = alice.call('session.mode.get', { sessionId });
    const create = alice.call('session.create', { sessionId });
    await settle();
    expect(alice.answer(id)?.error?.message).toContain('"sessionId" of session.mode.get must be the id of a session');
    expect(alice.answer(create)?.error?.code).toBe(-32602);
    expect(world.dials).toEqual([]);
  });

  it('waits for nothing that is not known: without a key, or the CopilotSessions, it may be tried again', async () => {
    world.ownership.keyList = [];
    const first = alice.call('session.mode.get', { sessionId: 's' });
    world.ownership.keyList = [stampKey('first')];
    world.ownership.isSynced = false;
    const second = alice.call('session.list');
    await settle();
    for (const id of [first, second])
      expect(alice.answer(id)?.error).toMatchObject({ code: -32050, data: { retryable: true } });
  });

  it('is looked up again when the server is lost meanwhile', async () => {
    const id = alice.call('session.mode.get', { sessionId: 's' });
    await settle();
    world.server.events.closed(undefined);
    await settle();
    expect(alice.answer(id)).toBeUndefined();
    expect(world.dials).toHaveLength(2);
    expect(world.server.count('sessions.getClientMetadata')).toBe(1);
  });

  it('that brings its server down is not made for ever', async () => {
    world.answers.set('session.list', (end) => end.events.closed(undefined));
    const id = alice.call('session.list');
    await world.clock.advance(10_000);
    expect(alice.answer(id)?.error?.code).toBe(-32050);
    expect(world.dials).toHaveLength(4);
  });

  it('of a client without a user, whom nobody admits, reaches no server', async () => {
    const nobody = world.client();
    const id = nobody.call('session.list');
    await settle();
    expect(nobody.answer(id)?.error?.code).toBe(-32601);
    expect(world.dials).toEqual([]);
  });
});

describe('what is told of sessions', () => {
  const lifecycle = (sessionId: string, type: string) =>
    world.server.send(JSON.stringify({ jsonrpc: '2.0', method: 'session.lifecycle', params: { type, sessionId } }));
  const heard = (client: ClientEnd) => client.received.filter(({ method }) => method === 'session.lifecycle').length;

  it('is for their users only, from the first moment, and an id is free once its session is deleted', async () => {
    await made(bob, 's');
    alice.call('session.create', { sessionId: 'mine' });
    await stored('mine', 'Absent');
    lifecycle('mine', 'session.created');
    lifecycle('s', 'session.updated');
    lifecycle('unknown', 'session.created');
    await settle();
    expect([heard(alice), heard(bob)]).toEqual([1, 1]);
    lifecycle('s', 'session.deleted');
    lifecycle('s', 'session.created');
    await settle();
    expect(heard(bob)).toBe(2);
  });
});

describe('a Shared tenant', () => {
  const forced = { enableSkills: false, mcpServers: {}, toolFilterPrecedence: 'excluded' };
  const harmless = expect.arrayContaining(['custom:*', 'builtin:ask_user']);

  beforeEach(() => {
    world = new RelayWorld();
    world.fleet.change({ isolation: 'Shared' });
    [alice, bob] = [world.client(TENANT, 'alice'), world.client(TENANT, 'alice')];
  });

  /** Answers the last call of each of these methods, in this order. */
  async function answerEach(...methods: string[]): Promise<void> {
    for (const method of methods) {
      world.server.answer(world.server.last(method).id, { sessionId: 's' });
      await settle();
    }
  }

  async function attached(client: ClientEnd, params: object): Promise<void> {
    const id = client.call('session.resume', { sessionId: 's', ...params });
    await settle();
    if (world.server.last(LOOK).id !== undefined && world.server.count('session.resume') === 0)
      await stored('s', 'alice');
    await answerEach('session.resume', 'session.options.update');
    expect(client.answer(id)?.result).toBeDefined();
  }

  it('forces an agent without tools of the server on each attach, whatever is left out', async () => {
    await attached(alice, { availableTools: null });
    expect(paramsOf(world.server.last('session.resume'))).toMatchObject({ ...forced, availableTools: harmless });
    expect(paramsOf(world.server.last('session.options.update'))).toMatchObject({ skipCustomInstructions: true });
    await attached(bob, { availableTools: ['custom:lookup'] });
    expect(paramsOf(world.server.last('session.resume'))).toMatchObject({
      ...forced,
      availableTools: ['custom:lookup'],
    });
    expect(world.server.count('session.options.update')).toBe(2);
  });

  it('forces it again when one of several clients leaves: the server may have unloaded the session and said nothing', async () => {
    await attached(alice, { availableTools: ['custom:lookup'] });
    await attached(bob, {});
    alice.leave();
    await settle();
    expect(paramsOf(world.server.last('session.resume'))).toMatchObject({ ...forced, availableTools: harmless });
    await answerEach('session.resume');
    expect(world.server.count('session.options.update')).toBe(3);
  });

  it('does not load a session again without it', async () => {
    await attached(alice, {});
    const id = alice.call('session.mode.get', { sessionId: 's' });
    await settle();
    world.server.refuse(world.server.last('session.mode.get').id, 'Session not found');
    await settle();
    expect(paramsOf(world.server.last('session.resume'))).toMatchObject({ ...forced, availableTools: harmless });
    await answerEach('session.resume');
    expect(world.server.count('session.mode.get')).toBe(1);
    await answerEach('session.options.update');
    expect(world.server.count('session.mode.get')).toBe(2);
    await answerEach('session.mode.get');
    expect(alice.answer(id)?.result).toBeDefined();
  });
});

describe('another isolation', () => {
  it('has another connection, so that nothing of before is shared', async () => {
    await made(alice, 's');
    world.fleet.change({ isolation: 'Shared' });
    await settle();
    expect(world.server.isClosed).toBe(true);
    const later = world.client(TENANT, 'alice');
    later.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(world.dials).toHaveLength(2);
    expect(world.server.count(LOOK)).toBe(1);
  });
});
