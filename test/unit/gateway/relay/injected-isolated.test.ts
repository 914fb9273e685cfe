// The login of a tenant in sessions of users who are kept apart, frame by frame: each holds for every load, whatever the other one does.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd, type Frame } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const LOOK = 'sessions.getClientMetadata';
const STAMP = 'session.metadata.updateClientMetadata';
const OWN = { provider: { baseUrl: 'https://client', apiKey: 'own' }, gitHubToken: 'gho_own' };
const loginOf = (apiKey: string) => ({ provider: { baseUrl: 'https://tenant', apiKey } });

let world: RelayWorld;
let alice: ClientEnd;

beforeEach(() => {
  world = new RelayWorld();
  world.fleet.change({ isolation: 'Shared' });
  hasKey('first');
  alice = world.client(TENANT, 'alice');
});

/** The tenant says something else than before. */
function hasKey(key: string): void {
  world.fleet.change({ model: { read: async () => ({ login: loginOf(key) }) } });
}

/** The server answers the last call of each of these methods, in this order. */
async function answerEach(...methods: string[]): Promise<void> {
  for (const method of methods) {
    await settle();
    world.server.answer(world.server.last(method).id, { sessionId: 's' });
    await settle();
  }
}

async function absent(): Promise<void> {
  await settle();
  world.server.answer(world.server.last(LOOK).id, [{ sessionId: 's', status: 'notFound' }]);
  await settle();
}

/** A session that Alice has made, and that had no turn. */
async function made(): Promise<void> {
  const id = alice.call('session.create', { sessionId: 's', ...OWN });
  await absent();
  await answerEach('session.create', 'session.options.update', STAMP);
  expect(alice.answer(id)?.result).toBeDefined();
}

const paramsOf = (frame: Frame) => frame.params ?? {};

/** The frame has the login of this key and none of the client, and an agent without tools of the server. */
function expectBoth(frame: Frame, key: string): void {
  const params = paramsOf(frame);
  expect(params).toMatchObject({ ...loginOf(key), enableSkills: false, mcpServers: {} });
  expect(params['availableTools']).toContain('custom:*');
  expect(params).not.toHaveProperty('gitHubToken');
}

describe('a session of a Shared tenant with a login', () => {
  it('has the login and no tool of the server from its beginning', async () => {
    await made();
    expectBoth(world.server.last('session.create'), 'first');
  });

  it('gets the next login only with what it has otherwise, and the options of its mode after that', async () => {
    await made();
    const before = world.server.count('session.options.update');
    hasKey('second');
    await answerEach('session.resume');
    expectBoth(world.server.last('session.resume'), 'second');
    expect(world.server.count('session.options.update')).toBe(before + 1);
    expect(paramsOf(world.server.last('session.options.update'))).toMatchObject({ skipCustomInstructions: true });
  });

  it('keeps both when one of its clients leaves', async () => {
    await made();
    const another = world.client(TENANT, 'alice');
    const id = another.call('session.resume', { sessionId: 's', ...OWN });
    await answerEach('session.resume', 'session.options.update');
    expect(another.answer(id)?.result).toBeDefined();
    another.leave();
    await settle();
    expect(world.server.count('session.resume')).toBe(2);
    expectBoth(world.server.last('session.resume'), 'first');
  });

  it('is made again after a restart with both and with its stamp, before anybody uses it', async () => {
    await made();
    world.server.events.closed(undefined);
    hasKey('second');
    const id = alice.call('session.mode.get', { sessionId: 's' });
    await answerEach('session.create');
    expectBoth(world.server.last('session.create'), 'second');
    expect(world.server.count('session.options.update')).toBe(0);
    await answerEach(STAMP);
    expect(world.server.count('session.mode.get')).toBe(0);
    await answerEach('session.options.update', 'session.mode.get');
    expect(alice.answer(id)?.result).toBeDefined();
  });

  it('is closed, and its client told, if the server does not take the stamp then', async () => {
    await made();
    world.server.events.closed(undefined);
    const id = alice.call('session.mode.get', { sessionId: 's' });
    await answerEach('session.create');
    world.server.refuse(world.server.last(STAMP).id, 'no space left');
    await answerEach('sessions.close');
    expect(alice.answer(id)?.error).toMatchObject({ code: -32051 });
    expect(world.server.count('session.mode.get')).toBe(0);
  });
});

describe('a call about a session of nobody', () => {
  it('says nothing of the login that its client sends', async () => {
    alice.call('session.resume', { sessionId: 's', ...OWN });
    await absent();
    const params = paramsOf(world.server.last('session.resume'));
    expect(params['sessionId']).not.toBe('s');
    expect(Object.keys(params)).toEqual(['sessionId']);
  });
});
