// Several users on one session whose CopilotSession says how they share its turns.
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { TurnRule } from '../../../../src/api/names.ts';
import type { RelayLimits } from '../../../../src/gateway/relay/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

let world: RelayWorld;
let sent = 0;

beforeEach(() => setUp());

function setUp(limits: Partial<RelayLimits> = {}): void {
  world = new RelayWorld(limits);
  sent = 0;
  world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
  world.answers.set('session.abort', (end, { id }) => end.answer(id, { success: true }));
  for (const method of ['session.send', 'session.sendMessages']) {
    world.answers.set(method, (end, { id }) => {
      sent += 1;
      end.answer(id, method === 'session.send' ? { messageId: `m${sent}` } : { messageIds: [`m${sent}`] });
    });
  }
}

function share(turns: TurnRule | undefined): void {
  world.ownership.record('s', { owner: 'alice', participants: ['bob', 'carol'], settings: { turns } });
}

/** A client of the user that is attached to the session. */
async function of(user: string | undefined, params: object = {}): Promise<ClientEnd> {
  const client = world.client(TENANT, user);
  client.call('session.resume', { sessionId: 's', ...params });
  await settle();
  return client;
}

async function prompt(client: ClientEnd, text: string, params: object = {}): Promise<number> {
  const id = client.call('session.send', { sessionId: 's', prompt: text, ...params });
  await settle();
  return id;
}

/** A client of the user whose turn runs. */
async function inTurn(user: string, params: object = {}): Promise<ClientEnd> {
  const client = await of(user, params);
  await prompt(client, `of ${user}`);
  world.server.event('s', 'user.message', { messageId: `m${sent}` });
  return client;
}

async function idle(): Promise<void> {
  world.server.event('s', 'session.idle');
  await settle();
}

/** The prompts that have reached the server. */
const reached = () => world.server.all('session.send').map(({ params }) => params?.['prompt']);

/** What the client was told of its place. */
const told = (client: ClientEnd): string[] =>
  client.received
    .map(({ params }) => params?.['event'] as { type?: string; data?: { message?: string } } | undefined)
    .flatMap((event) => (event?.type === 'session.info' ? [event.data?.message ?? ''] : []));

describe('turns: Queue', () => {
  beforeEach(() => share('Queue'));

  it('has prompts of other users wait in their order, and tells each its place', async () => {
    const alice = await inTurn('alice');
    const [bob, carol] = [await of('bob'), await of('carol')];
    await prompt(bob, 'b1');
    await prompt(carol, 'c1');
    expect(reached()).toEqual(['of alice']);
    expect(told(bob)).toEqual([
      'The prompt waits for the turn of alice: it is number 1 of 1 (spec.collaboration.turns of the CopilotSession).',
    ]);
    expect(told(carol)).toEqual([expect.stringContaining('the turn of alice: it is number 2 of 2 ')]);
    expect(await world.counted('held_prompts')).toEqual({ '': 2 });
    await idle();
    expect(reached()).toEqual(['of alice', 'b1']);
    expect(told(carol).at(-1)).toContain('the turn of bob: it is number 1 of 1 ');
    world.server.event('s', 'user.message', { messageId: 'm2' });
    await idle();
    expect(reached()).toEqual(['of alice', 'b1', 'c1']);
    expect([told(alice), await world.counted('held_prompts')]).toEqual([[], {}]);
  });

  it('does so with several messages in one call, and with those for the turn that runs', async () => {
    await inTurn('alice');
    const bob = await of('bob');
    await prompt(bob, 'steers', { mode: 'immediate' });
    bob.call('session.sendMessages', { sessionId: 's', messages: [{ prompt: 'x' }] });
    await settle();
    expect([reached(), world.server.count('session.sendMessages')]).toEqual([['of alice'], 0]);
    expect(told(bob)).toHaveLength(2);
    await idle();
    expect([reached(), world.server.count('session.sendMessages')]).toEqual([['of alice', 'steers'], 1]);
  });

  it('leaves the prompts of the same user as they are', async () => {
    const alice = await inTurn('alice');
    await prompt(alice, 'a2');
    await prompt(alice, 'a3', { mode: 'immediate' });
    const second = await of('alice');
    await prompt(second, 'a4', { mode: 'immediate' });
    expect(reached()).toEqual(['of alice', 'a2', 'a3', 'a4']);
    await prompt(second, 'a5');
    expect([reached().includes('a5'), told(second)]).toEqual([false, []]);
    await idle();
    expect(reached().at(-1)).toBe('a5');
  });

  it('has an abort take back what waits, and nothing else', async () => {
    await inTurn('alice');
    const [bob, carol] = [await of('bob'), await of('carol')];
    const [first, second] = [await prompt(bob, 'b1'), await prompt(bob, 'b2')];
    await prompt(carol, 'c1');
    const abort = bob.call('session.abort', { sessionId: 's' });
    await settle();
    expect(bob.answer(abort)?.result).toEqual({ success: true });
    for (const id of [first, second])
      expect(bob.answer(id)?.error).toMatchObject({ code: -32054, data: { outcome: 'NotSent', retryable: false } });
    expect(world.server.count('session.abort')).toBe(0);
    expect(told(carol).at(-1)).toContain('number 1 of 1');
    expect(await world.counted('held_prompts_total')).toEqual({ Cancelled: 2 });
    // Nothing of the user waits any more: this one is for the turn that runs.
    bob.call('session.abort', { sessionId: 's' });
    await settle();
    expect(world.server.count('session.abort')).toBe(1);
    await idle();
    expect(reached()).toEqual(['of alice', 'c1']);
  });

  it('tells those who wait that the session was deleted, so that nobody tries again', async () => {
    const alice = await inTurn('alice');
    const bob = await of('bob');
    const id = await prompt(bob, 'b1');
    world.answers.set('session.delete', (end, call) => end.answer(call.id, { success: true }));
    alice.call('session.delete', { sessionId: 's' });
    await settle();
    expect(bob.answer(id)?.error).toMatchObject({
      code: -32054,
      data: { retryable: false, rule: 'SessionDeleted', outcome: 'NotSent' },
    });
    expect(await world.counted('held_prompts_total')).toEqual({ SessionDeleted: 1 });
  });

  it('forgets what a user had waiting who has left', async () => {
    await inTurn('alice');
    const [bob, carol] = [await of('bob'), await of('carol')];
    await prompt(bob, 'b1');
    await prompt(carol, 'c1');
    bob.leave();
    expect(told(carol).at(-1)).toContain('number 1 of 1');
    await idle();
    expect(reached()).toEqual(['of alice', 'c1']);
  });

  it('keeps so many of one session', async () => {
    setUp({ heldSends: 1 });
    share('Queue');
    await inTurn('alice');
    const bob = await of('bob');
    await prompt(bob, 'b1');
    const id = await prompt(bob, 'b2');
    expect(bob.answer(id)?.error).toMatchObject({ code: -32000 });
    expect(await world.counted('refused_calls_total')).toEqual({ TooManyPrompts: 1 });
  });

  it('writes into the audit log whose each message was', async () => {
    const alice = await inTurn('alice');
    await prompt(alice, 'a2');
    const lines = world.logged.filter((line) => 'messages' in line);
    expect(lines).toEqual(
      ['m1', 'm2'].map((id) => expect.objectContaining({ audit: true, session: 's', user: 'alice', messages: [id] })),
    );
  });
});

describe('who holds the turn', () => {
  const held = () => world.relay.uses().heldTurns;

  it('is told of a session that several users share, with a number that rises when it passes on', async () => {
    share('Queue');
    await inTurn('alice');
    await world.clock.advance(5000);
    expect(held()).toEqual([{ ...TENANT, session: 's', holder: 'alice', epoch: 1, heldMs: 5000 }]);
    const bob = await of('bob');
    await prompt(bob, 'b1');
    expect(held()).toMatchObject([{ holder: 'alice', epoch: 1 }]);
    await idle();
    expect(held()).toMatchObject([{ holder: 'bob', epoch: 2, heldMs: 0 }]);
    world.server.event('s', 'user.message', { messageId: `m${sent}` });
    await idle();
    expect(held()).toEqual([]);
  });

  it('is not told of a session whose CopilotSession says nothing of it, nor of a client that states no user', async () => {
    share(undefined);
    await inTurn('alice');
    expect(held()).toEqual([]);
    share('Queue');
    expect(held()).toMatchObject([{ holder: 'alice' }]);
    await idle();
    await prompt(await of(undefined), 'x');
    expect(held()).toEqual([]);
  });
});

describe('turns: Refuse', () => {
  beforeEach(() => share('Refuse'));

  it('says who uses the session, and since when, until the turn has ended', async () => {
    await inTurn('alice');
    const since = new Date(world.clock.now()).toISOString();
    await world.clock.advance(30_000);
    const bob = await of('bob');
    for (const params of [{}, { mode: 'immediate' }]) {
      const { error } = bob.answer(await prompt(bob, 'b1', params)) ?? {};
      expect(error?.code).toBe(-32050);
      expect(error?.message).toContain(`the session is in use by alice since ${since}`);
      expect(error?.data).toEqual({
        retryable: true,
        retryAfterMs: 5000,
        outcome: 'NotSent',
        rule: 'SessionInUse',
        field: 'spec.collaboration.turns',
        holder: 'alice',
        since,
      });
    }
    expect(await world.counted('refused_calls_total')).toEqual({ SessionInUse: 2 });
    await idle();
    await prompt(bob, 'b2');
    expect(reached()).toEqual(['of alice', 'b2']);
  });

  it('refuses as well while the client of the turn is gone', async () => {
    (await inTurn('alice')).leave();
    const bob = await of('bob');
    expect(bob.answer(await prompt(bob, 'b1'))?.error?.message).toContain('in use by alice');
  });

  it('lets nobody be locked out by a prompt that begins no turn', async () => {
    const [alice, bob] = [await of('alice'), await of('bob')];
    await prompt(alice, '/help');
    expect(bob.answer(await prompt(bob, 'b1'))?.error).toBeDefined();
    await world.clock.advance(5000);
    await prompt(bob, 'b2');
    expect(reached()).toEqual(['/help', 'b2']);
  });

  it('gives each prompt its own time to begin a turn', async () => {
    const [alice, bob] = [await inTurn('alice'), await of('bob')];
    await idle();
    await world.clock.advance(4900);
    await prompt(alice, 'a2');
    await world.clock.advance(200);
    expect(bob.answer(await prompt(bob, 'b1'))?.error?.message).toContain('in use by alice');
  });

  it('counts also for a prompt that was sent before the CopilotSession said so', async () => {
    share(undefined);
    const [alice, bob] = [await of('alice'), await of('bob')];
    await prompt(alice, '/help');
    share('Refuse');
    await world.clock.advance(60_000);
    expect(bob.answer(await prompt(bob, 'b1'))?.error?.message).toContain('in use by alice');
    await world.clock.advance(5000);
    await prompt(bob, 'b2');
    expect(reached()).toEqual(['/help', 'b2']);
  });

  it('knows whose turn an immediate prompt has begun', async () => {
    const [alice, bob] = [await of('alice'), await of('bob')];
    await prompt(alice, 'a1', { mode: 'immediate' });
    world.server.event('s', 'user.message', { messageId: 'm1' });
    expect(bob.answer(await prompt(bob, 'b1'))?.error?.message).toContain('in use by alice');
  });

  it('has a prompt wait where it is not known whose turn runs, or who sends it', async () => {
    const bob = await of('bob');
    world.server.event('s', 'assistant.turn_start');
    await prompt(bob, 'b1');
    expect(reached()).toEqual([]);
    await idle();
    expect(reached()).toEqual(['b1']);
    const nobody = await of(undefined);
    await prompt(nobody, 'n1');
    await idle();
    expect(reached()).toEqual(['b1', 'n1']);
  });
});

describe('a CopilotSession that says nothing of it', () => {
  beforeEach(() => share(undefined));

  it('has prompts wait in silence; an abort is for the turn that runs', async () => {
    await inTurn('alice');
    const bob = await of('bob');
    await prompt(bob, 'b1');
    bob.call('session.abort', { sessionId: 's' });
    await settle();
    expect([told(bob), world.server.count('session.abort')]).toEqual([[], 1]);
    expect(world.logged.filter((line) => 'messages' in line)).toEqual([]);
    await idle();
    expect(reached()).toEqual(['of alice', 'b1']);
  });

  it('has questions asked of all at once', async () => {
    const alice = await inTurn('alice', { requestPermission: true });
    const bob = await of('bob', { requestPermission: true });
    world.server.event('s', 'permission.requested', { requestId: 'r' });
    expect([alice, bob].map(({ events }) => events.includes('permission.requested'))).toEqual([true, true]);
  });
});

describe('what the server asks in the turn of a user', () => {
  beforeEach(() => share('Queue'));
  const answers = { requestPermission: true, requestUserInput: true };
  const has = (type: string, ...clients: ClientEnd[]) => clients.map(({ events }) => events.includes(type));

  it('is for that user, then for the others; they hear how it has ended', async () => {
    const alice = await inTurn('alice', answers);
    // It attaches in the middle of the turn, and gets events from its end on.
    await idle();
    const bob = await of('bob', answers);
    await prompt(alice, 'a2');
    world.server.event('s', 'user.message', { messageId: 'm2' });
    world.server.event('s', 'permission.requested', { requestId: 'r' });
    expect(has('permission.requested', alice, bob)).toEqual([true, false]);
    await world.clock.advance(30_000);
    expect(has('permission.requested', alice, bob)).toEqual([true, true]);
    world.server.event('s', 'permission.completed', { requestId: 'r' });
    expect(has('permission.completed', alice, bob)).toEqual([true, true]);
    expect(alice.events.filter((type) => type === 'permission.requested')).toHaveLength(1);
  });

  it('is for the others at once when that user is gone', async () => {
    const bob = await of('bob', answers);
    const alice = await inTurn('alice', answers);
    world.server.request(9, 'userInput.request', { sessionId: 's', question: 'sure?' });
    expect([alice, bob].map((client) => client.asked('userInput.request') !== undefined)).toEqual([true, false]);
    alice.leave();
    expect(bob.asked('userInput.request')).toBeDefined();
  });
});
