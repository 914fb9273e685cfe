// How many sessions a user may make, in a tenant that limits it.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { STAMP_KEY, makeStamp } from '../../../../src/gateway/ownership/stamp.ts';
import type { RelayLimits } from '../../../../src/gateway/relay/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd, type Frame, type ServerEnd } from '../../../support/relay-world.ts';
import { TENANT, hostOf } from '../../../support/static-fleet.ts';
import { stampKey } from '../../../support/static-ownership.ts';

const LOOK = 'sessions.getClientMetadata';
const STAMP = 'session.metadata.updateClientMetadata';
const LIST = 'sessions.list';
const FULL = -32053;

let world: RelayWorld;
let alice: ClientEnd;
/** Owners of the sessions that the server has, by id. */
let stored: Map<string, string>;
/** Ids that the first server lists: a session without a turn is not among them. */
let listed: string[];
/** The same of the second one. */
let listedOnSecond: string[];

beforeEach(() => setUp());

function setUp(limits: Partial<RelayLimits> = {}): void {
  world = new RelayWorld(limits);
  world.fleet.change({ isolation: 'SharedTrusted', limits: { maxPerUser: 2 } });
  alice = world.client(TENANT, 'alice');
  stored = new Map();
  [listed, listedOnSecond] = [[], []];
  world.answers.set(LOOK, (end, { id, params }) => end.answer(id, idsIn(params).map(entryOf)));
  world.answers.set(LIST, answerList);
  for (const method of ['session.create', STAMP, 'session.mode.get']) {
    world.answers.set(method, (end, { id, params = {} }) => end.answer(id, params));
  }
}

const idsIn = (params: Frame['params']): string[] => (params?.['sessionIds'] ?? []) as string[];

const answerList = (end: ServerEnd, { id }: Frame): void => {
  const ids = end.host === hostOf(1) ? listedOnSecond : listed;
  end.answer(id, { sessions: ids.map((sessionId) => ({ sessionId })) });
};

function entryOf(sessionId: string): object {
  const owner = stored.get(sessionId);
  if (owner === undefined) return { sessionId, status: 'notFound' };
  const session = { namespace: TENANT.namespace, tenant: TENANT.name, sessionId };
  const stamp = makeStamp(session, owner, stampKey('first'), (size) => Buffer.alloc(size, 7));
  return { sessionId, status: 'ok', metadata: { [STAMP_KEY]: stamp } };
}

const make = (client: ClientEnd, sessionId?: string) =>
  client.call('session.create', sessionId === undefined ? {} : { sessionId });
const codeOf = (client: ClientEnd, id: number) => client.answer(id)?.error?.code;

describe('a user that has as many sessions as it may have', () => {
  it('is refused another one, with the rule, the field and the remedy', async () => {
    for (const id of ['a', 'b']) stored.set(id, 'alice');
    listed = ['a', 'b'];
    const [named, unnamed] = [make(alice, 'c'), make(alice)];
    await settle();
    for (const id of [named, unnamed]) {
      expect(alice.answer(id)?.error).toEqual({
        code: FULL,
        message: expect.stringContaining('delete one of them'),
        data: { retryable: false, rule: 'MaxPerUser', field: 'spec.sessions.maxPerUser', limit: 2 },
      });
    }
    expect(world.server.count('session.create')).toBe(0);
    expect(await world.counted('refused_calls_total')).toEqual({ UserFull: 2 });
  });

  it('goes on with those that it has, and makes another one when one was deleted', async () => {
    for (const id of ['a', 'b']) stored.set(id, 'alice');
    listed = ['a', 'b'];
    alice.call('session.mode.get', { sessionId: 'a' });
    await settle();
    expect(world.server.count('session.mode.get')).toBe(1);
    listed = ['b'];
    const id = make(alice, 'c');
    await settle();
    expect(codeOf(alice, id)).toBeUndefined();
    expect(world.server.count('session.create')).toBe(1);
  });

  it('harms nobody else', async () => {
    for (const id of ['a', 'b']) stored.set(id, 'alice');
    listed = ['a', 'b'];
    const bob = world.client(TENANT, 'bob');
    const [refused, made] = [make(alice, 'c'), make(bob, 'd')];
    await settle();
    expect([codeOf(alice, refused), codeOf(bob, made)]).toEqual([FULL, undefined]);
  });
});

describe('what counts', () => {
  it('are sessions of the user by their stamp, and not those of others, or of nobody', async () => {
    for (const [id, owner] of [
      ['a', 'alice'],
      ['b', 'bob'],
    ] as const)
      stored.set(id, owner);
    listed = ['a', 'b', 'without-stamp'];
    const id = make(alice, 'c');
    await settle();
    expect(codeOf(alice, id)).toBeUndefined();
  });

  it('is not one in which the user only takes part', async () => {
    for (const id of ['a', 'b']) stored.set(id, 'bob');
    for (const id of ['a', 'b']) world.ownership.record(id, { owner: 'bob', participants: ['alice'] });
    listed = ['a', 'b'];
    const id = make(alice, 'c');
    await settle();
    expect(codeOf(alice, id)).toBeUndefined();
  });

  it('is a session of before the isolation that its CopilotSession gives to the user', async () => {
    stored.set('a', 'alice');
    listed = ['a', 'old'];
    world.ownership.record('old', { owner: 'alice', participants: [] });
    const old = { sessionId: 'old', status: 'ok', metadata: { 'copilot-operator.dev/owner': 'alice' } };
    world.answers.set(LOOK, (end, { id, params }) =>
      end.answer(
        id,
        idsIn(params).map((each) => (each === 'old' ? old : entryOf(each))),
      ),
    );
    const id = make(alice, 'c');
    await settle();
    expect(codeOf(alice, id)).toBe(FULL);
  });

  it('is one that has had no turn, which the server does not list', async () => {
    for (const sessionId of ['a', 'b']) {
      const id = make(alice, sessionId);
      await settle();
      expect(alice.answer(id)?.result).toBeDefined();
    }
    const id = make(alice, 'c');
    await settle();
    expect(codeOf(alice, id)).toBe(FULL);
  });
});

describe('two that are made at once', () => {
  it('by different clients of the user do not both get the last place', async () => {
    stored.set('a', 'alice');
    listed = ['a'];
    const other = world.client(TENANT, 'alice');
    const [first, second] = [make(alice, 'b'), make(other)];
    await settle();
    expect([codeOf(alice, first), codeOf(other, second)].filter((code) => code === FULL)).toHaveLength(1);
    expect(world.server.count('session.create')).toBe(1);
  });

  it('of the same id by two clients of the user are one', async () => {
    stored.set('a', 'alice');
    listed = ['a'];
    const other = world.client(TENANT, 'alice');
    const [first, second] = [make(alice, 'b'), make(other, 'b')];
    await settle();
    expect([codeOf(alice, first), codeOf(other, second)]).not.toContain(FULL);
  });
});

describe('one that is not made after all does not count', () => {
  it('because its client has gone while the server drained', async () => {
    world.fleet.change({ limits: { maxPerUser: 1 } });
    make(world.client(TENANT, 'bob'), 'x');
    await settle();
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    const timeoutMs = 60_000;
    const drain = { server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true };
    world.fleet.change({ drains: [drain] });
    make(alice, 'a');
    await settle();
    alice.leave();
    world.fleet.change({ drains: undefined });
    await settle();
    const other = world.client(TENANT, 'alice');
    const id = make(other, 'b');
    await settle();
    expect(codeOf(other, id)).toBeUndefined();
    expect(world.server.count('session.create')).toBe(2);
  });

  it('because its client has as many sessions as it may have', async () => {
    setUp({ attachedSessions: 1 });
    const first = make(alice, 'a');
    await settle();
    expect(codeOf(alice, first)).toBeUndefined();
    const second = make(alice, 'b');
    await settle();
    expect(codeOf(alice, second)).toBe(-32000);
    const other = world.client(TENANT, 'alice');
    const third = make(other, 'c');
    await settle();
    expect(codeOf(other, third)).toBeUndefined();
  });
});

describe('of a tenant with several servers', () => {
  beforeEach(() => world.fleet.scale(2));

  it('the sessions on all of them count', async () => {
    for (const id of ['a', 'b']) stored.set(id, 'alice');
    [listed, listedOnSecond] = [['a'], ['b']];
    const id = make(alice, 'c');
    await settle();
    expect(codeOf(alice, id)).toBe(FULL);
  });

  it('none is made while one of them is away, and the client may try again', async () => {
    world.fleet.scale(2, [1]);
    const id = make(alice);
    await world.clock.advance(60_000);
    expect(alice.answer(id)?.error).toMatchObject({ code: -32050, data: { retryable: true } });
  });
});

it('a call before it about the same id does not let one in that is not counted', async () => {
  for (const id of ['a', 'b']) stored.set(id, 'alice');
  listed = ['a', 'b'];
  alice.call('session.mode.get', { sessionId: 'c' });
  const id = make(alice, 'c');
  const after = alice.call('session.mode.get', { sessionId: 'c' });
  await settle();
  expect(codeOf(alice, id)).toBe(FULL);
  expect(alice.answer(after)).toBeDefined();
});

it('calls that follow one that is made wait for it', async () => {
  make(alice, 'c');
  const after = alice.call('session.mode.get', { sessionId: 'c' });
  await settle();
  expect(alice.answer(after)?.result).toEqual({ sessionId: 'c' });
});

describe('a count that fails', () => {
  it('makes no session, and the next one is counted again', async () => {
    world.answers.delete(LIST);
    const first = make(alice, 'a');
    await settle();
    await world.clock.advance(30_001);
    expect(alice.answer(first)?.error).toMatchObject({ code: -32050, data: { retryable: true, outcome: 'NotSent' } });
    await world.clock.advance(1000);
    world.answers.set(LIST, answerList);
    const second = make(alice, 'a');
    await settle();
    expect(alice.answer(second)?.result).toBeDefined();
  });

  it('leaves no claim of a client that has gone meanwhile', async () => {
    world.fleet.change({ limits: { maxPerUser: 1 } });
    world.answers.delete(LIST);
    make(alice, 'a');
    await settle();
    alice.leave();
    world.answers.set(LIST, answerList);
    answerList(world.server, world.server.last(LIST));
    await settle();
    const other = world.client(TENANT, 'alice');
    const id = make(other, 'b');
    await settle();
    expect(codeOf(other, id)).toBeUndefined();
  });
});

it('nothing is counted in a tenant without a limit', async () => {
  world.fleet.change({ limits: {} });
  make(alice, 'a');
  make(alice);
  await settle();
  expect(world.server.count(LIST)).toBe(0);
  expect(world.server.count('session.create')).toBe(2);
});
