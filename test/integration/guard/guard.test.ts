// The guard as a process, in front of the real Copilot CLI and the light runtime.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { connect as dial } from 'node:net';
import { join } from 'node:path';
import { Client, getStatus, listSessions } from '../../../src/copilot/index.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { guardRefusal } from '../../../src/resources/guard-protocol.ts';
import { GUARD_TOKEN, GuardedServer, SharedVolume } from '../../support/guarded-server.ts';
import { TestModel } from '../../support/model.ts';
import type { RawCalls } from '../../support/raw-calls.ts';
import type { RawMessage } from '../../support/raw-client.ts';
import { waitFor } from '../../support/wait.ts';

interface Event {
  readonly id: string;
  readonly parentId: string | null;
  readonly type: string;
  readonly data: { readonly content?: string };
}

/** What a guard says of a refusal; undefined: it is none. */
const refusal = ({ error }: RawMessage) => error && guardRefusal(error);

describe.each(['cli', 'runtime'] as const)('a guard before a real server (%s)', (binary) => {
  let volume: SharedVolume;
  let model: TestModel;
  let one: GuardedServer;
  let two: GuardedServer;
  const connections: RawCalls[] = [];
  let sessions = 0;

  const open = async (server: GuardedServer): Promise<RawCalls> => {
    const calls = await server.connect();
    connections.push(calls);
    return calls;
  };
  const newId = (): string => `session-${(sessions += 1)}`;
  const params = () => {
    const { model: name, provider } = model.bind({ host: '127.0.0.1', port: 1 }, GUARD_TOKEN);
    return { model: name, provider, requestPermission: true };
  };
  const journalOf = (session: string): Event[] =>
    readFileSync(join(volume.sessions, session, 'events.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Event);
  /** Prompts, and waits for the end of the turn. */
  const prompt = async (calls: RawCalls, session: string, text: string): Promise<void> => {
    const before = calls.unasked.length;
    await calls.result('session.send', { sessionId: session, prompt: text });
    const isIdle = ({ params: told }: RawMessage): boolean =>
      told?.['sessionId'] === session && (told['event'] as Event | undefined)?.type === 'session.idle';
    await waitFor('the turn has ended', () => calls.unasked.slice(before).some(isIdle));
  };
  /** Moves a session as a gateway does. */
  const move = async (session: string, from: GuardedServer, to: GuardedServer, epoch: number): Promise<RawCalls> => {
    const leaving = await open(from);
    expect(await from.ask(leaving, session, epoch, 'close')).toMatchObject({ result: { epoch } });
    await leaving.result('sessions.close', { sessionId: session });
    const calls = await open(to);
    expect(await to.ask(calls, session, epoch, 'load')).toMatchObject({ result: { epoch } });
    await calls.result('session.resume', { sessionId: session, ...params() });
    return calls;
  };

  beforeAll(async () => {
    volume = new SharedVolume();
    model = await TestModel.start();
    one = await GuardedServer.start(volume, binary, 'pod-1');
    two = await GuardedServer.start(volume, binary, 'pod-2');
  }, 120_000);
  afterEach(() => {
    for (const calls of connections.splice(0)) calls[Symbol.dispose]();
  });
  afterAll(async () => {
    await Promise.all([one[Symbol.asyncDispose](), two[Symbol.asyncDispose]()]);
    model[Symbol.dispose]();
    volume[Symbol.dispose]();
  }, 60_000);

  it('passes what concerns no session, and calls that only read', async () => {
    const client = new Client({ host: '127.0.0.1', port: one.port, token: GUARD_TOKEN, timers: systemClock });
    await client.open({ timeoutMs: 10_000 });
    expect(await getStatus(client, { timeoutMs: 10_000 })).toMatchObject({ version: expect.any(String) });
    expect(await listSessions(client, { timeoutMs: 10_000 })).toEqual(expect.any(Array));
    client.close();
  });

  it('lets nobody load a session without a grant, or under another', async () => {
    const session = newId();
    const calls = await open(one);
    const { message } = await calls.call('session.create', { sessionId: session, ...params() });
    expect(refusal(message)).toEqual({ rule: 'NoGrant' });
    expect(refusal((await calls.call('session.create', params())).message)).toEqual({ rule: 'NotAllowed' });
    expect(refusal(await one.ask(calls, session, 1, 'load', { pod: 'pod-2' }))).toEqual({ rule: 'BadGrant' });
    const signed = one.grant(session, 1, 'load');
    const forged = `${signed.slice(0, -2)}${signed.endsWith('AA') ? 'BB' : 'AA'}`;
    expect(refusal((await calls.call('guard.grant', { grant: forged })).message)).toEqual({ rule: 'BadGrant' });
    expect(readdirSync(volume.sessions)).not.toContain(session);
  });

  it('has a session move under rising epochs, and refuses the late one', async () => {
    const session = newId();
    const late = await open(one);
    await one.ask(late, session, 1, 'load');
    await late.result('session.create', { sessionId: session, ...params() });
    await prompt(late, session, 'first');
    const calls = await move(session, one, two, 2);
    await prompt(calls, session, 'second');
    const { message } = await late.call('session.send', { sessionId: session, prompt: 'late' });
    expect(refusal(message)).toEqual({ rule: 'StaleEpoch', epoch: 2 });
    expect(refusal(await one.ask(late, session, 1, 'load'))).toMatchObject({ rule: 'StaleEpoch', epoch: 2 });
    expect(refusal(await one.ask(late, session, 3, 'load'))).toMatchObject({
      rule: 'NotClosed',
      epoch: 2,
      holder: { pod: 'pod-2', server: two.server },
    });
    const events = journalOf(session);
    expect(events.filter(({ type }) => type === 'user.message').map(({ data }) => data.content)).toEqual([
      'first',
      'second',
    ]);
  }, 60_000);

  it('keeps its epochs when it is killed, and when its container is replaced', async () => {
    const session = newId();
    const calls = await open(one);
    await one.ask(calls, session, 5, 'load');
    await calls.result('session.create', { sessionId: session, ...params() });
    await prompt(calls, session, 'before');
    await one.ask(calls, session, 6, 'close');
    await one.stopGuard('SIGKILL');
    await one.startGuard();
    const again = await open(one);
    expect(refusal(await one.ask(again, session, 5, 'load'))).toMatchObject({ rule: 'StaleEpoch', epoch: 6 });
    // It was not closed, so nobody else may have it, until it is.
    expect(refusal(await two.ask(await open(two), session, 6, 'load'))).toMatchObject({ rule: 'NotClosed' });
    const moved = await move(session, one, two, 7);
    await prompt(moved, session, 'after');
    expect(await one.stopGuard('SIGTERM')).toBe(0);
    await one.startGuard();
  }, 60_000);

  it('has a session loaded again by a server that was restarted, under the same epoch', async () => {
    const session = newId();
    const calls = await open(two);
    await two.ask(calls, session, 1, 'load');
    await calls.result('session.create', { sessionId: session, ...params() });
    await prompt(calls, session, 'before');
    await two.cli.kill();
    await waitFor('the guard is not ready', async () => !(await two.isReady()));
    // Whoever connects is not kept waiting.
    await once(dial(two.port, '127.0.0.1').resume(), 'close');
    await two.cli.start();
    await waitFor('the guard is ready', () => two.isReady());
    const again = await open(two);
    const { message } = await again.call('session.resume', { sessionId: session, ...params() });
    expect(refusal(message)).toEqual({ rule: 'NoGrant', epoch: 1 });
    expect(await two.ask(again, session, 1, 'load')).toMatchObject({ result: { epoch: 1 } });
    await again.result('session.resume', { sessionId: session, ...params() });
    await prompt(again, session, 'after');
  }, 90_000);

  it('passes a prompt of 2 MB, and the history that has it', async () => {
    const session = newId();
    const calls = await open(one);
    await one.ask(calls, session, 1, 'load');
    await calls.result('session.create', { sessionId: session, ...params() });
    const long = 'x'.repeat(2 * 1024 * 1024);
    await prompt(calls, session, long);
    const { text } = await calls.call('session.getMessages', { sessionId: session });
    expect(text).toContain(long.slice(0, 1_000));
    expect(text.length).toBeGreaterThan(long.length);
  }, 120_000);

  it('has a deletion only under a grant, and no session of the id under that epoch after it', async () => {
    const session = newId();
    const calls = await open(one);
    await one.ask(calls, session, 1, 'load');
    await calls.result('session.create', { sessionId: session, ...params() });
    await prompt(calls, session, 'hello');
    const other = await open(two);
    expect(refusal((await other.call('session.delete', { sessionId: session })).message)).toEqual({ rule: 'NoGrant' });
    expect(refusal(await two.ask(other, session, 2, 'delete'))).toMatchObject({ rule: 'NotClosed' });
    expect(await one.ask(calls, session, 2, 'delete')).toMatchObject({ result: { epoch: 2 } });
    expect(await calls.result('session.delete', { sessionId: session })).toMatchObject({ success: true });
    expect(readdirSync(volume.sessions)).not.toContain(session);
    expect(refusal(await one.ask(calls, session, 2, 'load'))).toMatchObject({ rule: 'StaleEpoch' });
    expect(await two.ask(other, session, 3, 'load')).toMatchObject({ result: { epoch: 3 } });
  }, 60_000);

  it('never lets a session fork, however two gateways pull at it', async () => {
    const session = newId();
    const acknowledged: string[] = [];
    const first = await open(one);
    await one.ask(first, session, 1, 'load');
    await first.result('session.create', { sessionId: session, ...params() });
    await prompt(first, session, 'start');
    /** As a gateway without a store, which learns of epochs only from refusals. */
    const pull = async (name: string, servers: readonly [GuardedServer, GuardedServer]): Promise<void> => {
      let epoch = 1;
      for (let round = 0; round < 6; round += 1) {
        const [to, from] = round % 2 === 0 ? servers : (servers.toReversed() as unknown as typeof servers);
        const [calls, leaving] = [await open(to), await open(from)];
        epoch += 1;
        const left = await from.ask(leaving, session, epoch, 'close');
        if (left.error === undefined) await leaving.call('sessions.close', { sessionId: session });
        const loaded = await to.ask(calls, session, epoch, 'load');
        epoch = Math.max(epoch, ...[left, loaded].map((each) => refusal(each)?.epoch ?? 0));
        if (loaded.error !== undefined) continue;
        const resumed = await calls.call('session.resume', { sessionId: session, ...params() });
        if (resumed.message.error !== undefined) continue;
        const text = `${name}-${round}`;
        const sent = await calls.call('session.send', { sessionId: session, prompt: text });
        if (sent.message.error === undefined) acknowledged.push(text);
      }
    };
    await Promise.all([pull('a', [one, two]), pull('b', [two, one])]);
    // A turn that was acknowledged is written when its session is closed.
    const end = await open(one);
    const highest = refusal(await one.ask(end, session, 1, 'close'))?.epoch ?? 0;
    for (const server of [one, two]) {
      const calls = await open(server);
      await server.ask(calls, session, highest + 1, 'close');
      await calls.call('sessions.close', { sessionId: session });
    }
    const events = journalOf(session);
    const forks = events.filter(({ parentId }, at) => at > 0 && parentId !== events[at - 1]?.id);
    expect(forks).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(0);
  }, 120_000);
});
