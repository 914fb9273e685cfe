// Calls of clients by which a server asks other clients: it takes no client that attaches until they are answered, so nobody attaches or leaves meanwhile, and they wait for who does.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';

const RESUME = 'session.resume';
const EXECUTE = 'session.commands.execute';
const DENIES = 'session.commands.handlePendingCommand';
const mine = { commands: [{ name: 'mine' }] };

let world: RelayWorld;
let caller: ClientEnd;
let owner: ClientEnd;

beforeEach(async () => {
  world = new RelayWorld();
  caller = await world.attached('s');
  owner = await world.attached('s', mine);
});

/** A command of the owner is under way; returns the id of the call at the server. */
async function running() {
  caller.call(EXECUTE, { sessionId: 's', commandName: 'mine', args: '' });
  await settle();
  world.server.event('s', 'command.execute', { requestId: 'r', commandName: 'mine' });
  return world.server.last(EXECUTE).id;
}

describe('while a command of a client runs', () => {
  it('who attaches waits for its end, and attaches then', async () => {
    const id = await running();
    expect(owner.events).toContain('command.execute');
    const before = world.server.count(RESUME);
    const next = world.client();
    const call = next.call(RESUME, { sessionId: 's' });
    await settle();
    expect(world.server.count(RESUME)).toBe(before);
    world.server.answer(id, {});
    await settle();
    expect(world.server.count(RESUME)).toBe(before + 1);
    world.server.answer(world.server.last(RESUME).id, { sessionId: 's' });
    await settle();
    expect(next.answer(call)?.result).toEqual({ sessionId: 's' });
  });

  it('who leaves with it fails it at once, and what the others declare is told after its end', async () => {
    const id = await running();
    const before = world.server.count(RESUME);
    owner.leave();
    await settle();
    expect(world.server.last(DENIES).params).toMatchObject({ requestId: 'r', error: 'No client has this command.' });
    expect(world.server.count(RESUME)).toBe(before);
    world.server.answer(id, { error: 'No client has this command.' });
    await settle();
    expect(world.server.count(RESUME)).toBe(before + 1);
  });

  it('who waits to attach and leaves does not attach', async () => {
    const id = await running();
    const next = world.client();
    next.call(RESUME, { sessionId: 's' });
    await settle();
    const before = world.server.count(RESUME);
    next.leave();
    world.server.answer(id, {});
    await settle();
    expect(world.server.count(RESUME)).toBe(before);
  });

  it('a drain that is over its time does not wait for who waits to attach', async () => {
    await running();
    world.client().call(RESUME, { sessionId: 's' });
    await settle();
    const timeoutMs = 1000;
    world.fleet.change({ drains: [{ server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true }] });
    await world.clock.advance(5000);
    expect(world.server.count('sessions.close')).toBe(1);
  });

  it('other calls go on', async () => {
    await running();
    caller.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(world.server.count('session.mode.get')).toBe(1);
  });
});

describe('while the server is told what a client declares', () => {
  /** The server has a `session.resume` of one that attaches; returns the id of that. */
  async function attaching() {
    const before = world.server.count(RESUME);
    world.client().call(RESUME, { sessionId: 's' });
    await settle();
    expect(world.server.count(RESUME)).toBe(before + 1);
    return world.server.last(RESUME).id;
  }

  const execute = () => caller.call(EXECUTE, { sessionId: 's', commandName: 'mine', args: '' });

  it.each([
    [EXECUTE, 'attaches'],
    ['session.commands.invoke', 'attaches'],
    ['session.ui.elicitation', 'attaches'],
    [EXECUTE, 'leaves'],
  ])('%s waits until who %s has done so', async (method, does) => {
    const before = world.server.count(RESUME);
    if (does === 'attaches') world.client().call(RESUME, { sessionId: 's' });
    else owner.leave();
    await settle();
    expect(world.server.count(RESUME)).toBe(before + 1);
    const call = caller.call(method, { sessionId: 's', commandName: 'mine', args: '' });
    await settle();
    expect(world.server.count(method)).toBe(0);
    world.server.answer(world.server.last(RESUME).id, { sessionId: 's' });
    await settle();
    expect(world.server.count(method)).toBe(1);
    world.server.answer(world.server.last(method).id, {});
    expect(caller.answer(call)?.result).toEqual({});
  });

  it('the next one that attaches waits for a call that has waited', async () => {
    const id = await attaching();
    execute();
    world.client().call(RESUME, { sessionId: 's' });
    await settle();
    const before = world.server.count(RESUME);
    world.server.answer(id, { sessionId: 's' });
    await settle();
    expect([world.server.count(EXECUTE), world.server.count(RESUME)]).toEqual([1, before]);
    world.server.answer(world.server.last(EXECUTE).id, {});
    await settle();
    expect(world.server.count(RESUME)).toBe(before + 1);
  });

  it('later calls of the same client wait behind it, and those of others do not', async () => {
    const id = await attaching();
    execute();
    caller.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(world.server.count('session.mode.get')).toBe(0);
    owner.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(world.server.count('session.mode.get')).toBe(1);
    world.server.answer(id, { sessionId: 's' });
    await settle();
    expect(world.server.received.slice(-2).map(({ method }) => method)).toEqual([EXECUTE, 'session.mode.get']);
  });

  it('a call whose client leaves is not made', async () => {
    const id = await attaching();
    execute();
    caller.leave();
    world.server.answer(id, { sessionId: 's' });
    await settle();
    expect(world.server.count(EXECUTE)).toBe(0);
  });

  it('a call whose server is lost meanwhile is made at the next one', async () => {
    await attaching();
    const call = execute();
    await settle();
    world.server.events.closed(undefined);
    await settle();
    // The session is loaded for those who were there, and then the next one attaches.
    for (const _ of ['loaded', 'attached']) {
      expect(world.server.count(EXECUTE)).toBe(0);
      world.server.answer(world.server.last(RESUME).id, { sessionId: 's' });
      await settle();
    }
    world.server.answer(world.server.last(EXECUTE).id, {});
    expect(caller.answer(call)?.result).toEqual({});
  });

  it('a call waits no longer than the gateway waits for the server', async () => {
    await attaching();
    execute();
    await world.clock.advance(120_001);
    expect(world.server.count(EXECUTE)).toBe(1);
  });
});
