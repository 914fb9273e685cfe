// Calls of clients by which a server asks other clients: it takes no client that attaches until they are answered, so nobody attaches or leaves meanwhile.
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
