// A tenant that is deleted while calls of its clients wait for something: each gets its answer, and nothing is kept.
import { beforeEach, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { SessionDisks } from '../../../support/session-disks.ts';
import { hostOf } from '../../../support/static-fleet.ts';

const SEND = 'session.send';
const prompt = { sessionId: 's', prompt: 'p' };
const TOLD = { code: -32050, data: { outcome: 'NotSent' } };

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
});

/** The tenant is deleted: the errors that these calls have got in a moment, one each. */
async function deleted(client: ClientEnd, ...calls: number[]): Promise<unknown[]> {
  for (const id of calls) expect(client.answer(id)).toBeUndefined();
  world.fleet.delete();
  await world.clock.advance(100);
  expect(client.work?.calls).toBe(0);
  expect(calls.map((id) => client.received.filter((frame) => frame.id === id).length)).toEqual(calls.map(() => 1));
  return calls.map((id) => client.answer(id)?.error);
}

/** Nothing is under way, and nobody waits for anything. */
async function nothingIsLeft(...clients: ClientEnd[]): Promise<void> {
  for (const client of clients) client.leave();
  await settle();
  expect([world.relay.sessions(), world.relay.servers(), world.relay.wakes()]).toEqual([[], [], []]);
  const dials = world.dials.length;
  await world.clock.advance(600_000);
  expect([world.dials.length, world.clock.pendingTimers]).toEqual([dials, 0]);
}

/** A client whose turn runs. */
async function inTurn(): Promise<ClientEnd> {
  const client = await world.attached('s');
  client.call(SEND, prompt);
  world.server.answer(world.server.last(SEND).id, { messageId: 'm' });
  world.server.event('s', 'user.message', { messageId: 'm', content: 'p' });
  return client;
}

it('prompts that wait for the turn of another client', async () => {
  const first = await inTurn();
  const second = await world.attached('s');
  const held = [second.call(SEND, prompt), second.call(SEND, prompt)];
  expect(await deleted(second, ...held)).toMatchObject([TOLD, TOLD]);
  expect(first.events).toEqual(['user.message', 'session.error', 'session.idle']);
  await nothingIsLeft(first, second);
});

it('calls that wait for the drain of the server', async () => {
  const client = await inTurn();
  const timeoutMs = 300_000;
  world.fleet.change({ drains: [{ server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true }] });
  await settle();
  const other = world.client();
  const held = [other.call('session.create'), other.call('session.resume', { sessionId: 't' })];
  expect(await deleted(other, ...held)).toMatchObject([TOLD, TOLD]);
  expect(world.dials).toHaveLength(1);
  await nothingIsLeft(client, other);
});

it('calls that wait for the pod that follows a drained one', async () => {
  const client = await world.attached('s');
  const timeoutMs = 300_000;
  world.answers.set('sessions.close', (end, { id }) => end.answer(id, {}));
  world.fleet.change({ drains: [{ server: 'team/acme-0', epoch: 1, podUID: 'pod-1', timeoutMs, comesBack: true }] });
  await world.clock.advance(1000);
  expect(world.relay.drains()).toMatchObject([{ isDrained: true }]);
  const held = [client.call(SEND, prompt), client.call('session.mode.get', { sessionId: 's' })];
  expect(await deleted(client, ...held)).toMatchObject([TOLD, TOLD]);
  await nothingIsLeft(client);
});

it('calls that wait for a server that is away', async () => {
  const client = await world.attached('s');
  world.isUp = false;
  world.server.events.closed(undefined);
  await settle();
  const held = [
    client.call(SEND, prompt),
    client.call('session.resume', { sessionId: 't' }),
    client.call('models.list'),
  ];
  expect(await deleted(client, ...held)).toMatchObject([TOLD, TOLD, TOLD]);
  await nothingIsLeft(client);
});

it('calls that the server has got, which it may have done', async () => {
  const client = await world.attached('s');
  const sent = [client.call(SEND, prompt), client.call('session.history.compact', { sessionId: 's' })];
  const unknown = { code: -32050, data: { outcome: 'Unknown' } };
  expect(await deleted(client, ...sent)).toMatchObject([unknown, unknown]);
  await nothingIsLeft(client);
});

it('calls that wait for it to wake', async () => {
  world.fleet.change({ servers: [], sleep: { afterIdleMs: 1, wakeTimeoutMs: 1, phase: 'Stopped', epoch: 1 } });
  const client = world.client();
  const held = [client.call('session.create'), client.call('models.list')];
  await settle();
  expect(await deleted(client, ...held)).toMatchObject([TOLD, TOLD]);
  await nothingIsLeft(client);
});

it('calls that wait for a place in the memory of the server', async () => {
  const client = await inTurn();
  world.fleet.change({ limits: { maxConcurrent: 1 } });
  const held = client.call('session.resume', { sessionId: 't' });
  await world.clock.advance(1000);
  expect(await deleted(client, held)).toMatchObject([TOLD]);
  await nothingIsLeft(client);
});

it('calls about a session that a server which is away may have', async () => {
  world.fleet.scale(2, [1]);
  const disks = new SessionDisks(world);
  const client = world.client();
  const held = client.call('session.resume', { sessionId: 'x' });
  await world.clock.advance(100);
  expect(disks.of(hostOf(0)).has('x')).toBe(false);
  expect(await deleted(client, held)).toMatchObject([TOLD]);
  await nothingIsLeft(client);
});
