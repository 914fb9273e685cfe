// When Redis is connected to, given up and connected to again. Real servers are in test/integration/gateway/locks.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AvailabilityBoard } from '../../../../../src/gateway/locks/availability.ts';
import { parseRedisAddress } from '../../../../../src/gateway/locks/redis/address.ts';
import type { RedisClient } from '../../../../../src/gateway/locks/redis/client.ts';
import { REDIS_TIMES, RedisConnection } from '../../../../../src/gateway/locks/redis/connection.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const GOOD = 'redis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction';
const never = new Promise<never>(() => undefined);

/** A client that answers as the test says. */
class PlayedClient implements RedisClient {
  isEnded = false;
  lose: (error: Error) => void = () => undefined;
  readonly #play: Play;

  constructor(play: Play) {
    this.#play = play;
  }
  connect = async (): Promise<void> => this.#play.connect?.();
  infos = async (): Promise<string[]> => [this.#play.info ?? GOOD];
  probe = async (): Promise<unknown> => this.#play.probe?.();
  get = async (): Promise<string | null> => this.#play.get?.() ?? null;
  run = async (): Promise<unknown> => never;
  scan = async (): Promise<readonly [string, string[]]> => ['0', []];
  delete = async (): Promise<unknown> => 0;
  onEnd(listener: (error: Error) => void): void {
    this.lose = listener;
  }
  end(): void {
    this.isEnded = true;
  }
}

interface Play {
  readonly connect?: () => Promise<void>;
  readonly info?: string;
  readonly probe?: () => Promise<unknown>;
  readonly get?: () => Promise<string | null>;
}

let clock: FakeClock;
let clients: PlayedClient[];
let plays: Play[];
let logged: { readonly message: string; readonly fields: unknown }[];
let board: AvailabilityBoard;
let connection: RedisConnection;

const log = (fields: unknown, message: string) => void logged.push({ message, fields });
const ask = () => connection.run((client) => client.get('hash', 'field'));
const refused = () => Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
const problemOf = (work: Promise<unknown>) => work.then(() => undefined).catch((error: unknown) => error);

beforeEach(() => {
  clock = new FakeClock();
  clients = [];
  plays = [];
  logged = [];
  board = new AvailabilityBoard();
  connection = new RedisConnection({
    address: parseRedisAddress('redis://redis:6379'),
    open: () => {
      const client = new PlayedClient(plays[Math.min(clients.length, plays.length - 1)] ?? {});
      clients.push(client);
      return client;
    },
    board,
    clock,
    random: () => 0,
    log: { info: log as never, warn: log as never },
    times: REDIS_TIMES,
  });
});
afterEach(async () => {
  await connection.close();
  expect(clients.filter(({ isEnded }) => !isEnded)).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

describe('a connection to Redis', () => {
  it('is made with the first use, and used by all', async () => {
    await clock.advance(60_000);
    expect([clients.length, board.now.state]).toEqual([0, 'Unused']);
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([null, null, null]);
    expect([clients.length, board.now.state]).toEqual([1, 'Available']);
  });

  it('fails fast while it cannot be made, and comes back by itself', async () => {
    plays = [{ connect: refused }, { connect: refused }, {}];
    expect(await problemOf(ask())).toMatchObject({ reason: 'Unreachable' });
    expect(await problemOf(ask())).toMatchObject({ reason: 'Unreachable' });
    expect(board.now).toMatchObject({ state: 'Unavailable', reason: 'Unreachable' });
    await clock.advance(10_000);
    expect([clients.length, board.now.state]).toEqual([3, 'Available']);
    expect(await ask()).toBeNull();
    expect(logged.map(({ message }) => message)).toEqual([
      'the coordination store cannot be used',
      'the coordination store answers again',
    ]);
  });

  it('is given up after an operation without an answer, and what was under way with it', async () => {
    let answers = true;
    plays = [{ get: () => (answers ? Promise.resolve(null) : never) }, {}];
    await ask();
    answers = false;
    const [first, second] = [problemOf(ask()), problemOf(ask())];
    await clock.advance(REDIS_TIMES.operationMs);
    expect(await first).toMatchObject({ reason: 'TimedOut' });
    expect(await second).toMatchObject({ reason: 'TimedOut' });
    expect([clients.length, clients[0]?.isEnded]).toEqual([2, true]);
    expect(await ask()).toBeNull();
  });

  it('waits no longer than an operation may take for one that hangs', async () => {
    plays = [{ connect: () => never }, {}];
    const problem = problemOf(ask());
    await clock.advance(REDIS_TIMES.operationMs);
    expect(await problem).toMatchObject({ reason: 'TimedOut' });
    await clock.advance(REDIS_TIMES.connectMs + REDIS_TIMES.backoff.maxMs);
    expect(board.now.state).toBe('Available');
  });

  it('is made again when it was lost, for which operations wait', async () => {
    await ask();
    clients[0]?.lose(new Error('the connection was closed'));
    expect(await ask()).toBeNull();
    expect(clients).toHaveLength(2);
  });

  it.each<[string, Play, string]>([
    ['a replica', { info: GOOD.replace('master', 'slave') }, 'ReadOnly'],
    ['an old version', { info: 'redis_version:5.0.14' }, 'TooOld'],
    ['one that takes no writes', { probe: () => Promise.reject(new Error('OOM command not allowed')) }, 'Full'],
  ])('does not use %s, and looks at it again and again', async (_what, play, reason) => {
    plays = [play];
    expect(await problemOf(ask())).toMatchObject({ reason });
    await clock.advance(30_000);
    expect(clients.length).toBeGreaterThan(5);
    expect(board.now).toMatchObject({ state: 'Unavailable', reason });
    expect(logged).toHaveLength(1);
    plays = [{}];
    await clock.advance(REDIS_TIMES.backoff.maxMs);
    expect(board.now).toEqual({ state: 'Available' });
  });

  it('is kept if one key is not to be read', async () => {
    plays = [{ get: () => Promise.reject(new Error('WRONGTYPE Operation against a key')) }];
    expect(await problemOf(ask())).toMatchObject({ reason: 'Unreadable' });
    expect([clients.length, clients[0]?.isEnded]).toEqual([1, false]);
  });

  it('warns of a policy that deletes what is in use, once', async () => {
    plays = [{ info: GOOD.replace('noeviction', 'allkeys-lru') }];
    await ask();
    connection.reopen();
    await ask();
    expect(clients).toHaveLength(2);
    const warnings = logged.filter(({ message }) => message.includes('may lose'));
    expect(warnings).toEqual([
      expect.objectContaining({ fields: expect.objectContaining({ problem: expect.stringContaining('allkeys-lru') }) }),
    ]);
  });

  it('ends with the store, also one that is being made', async () => {
    plays = [{ connect: () => never }];
    const problem = problemOf(ask());
    await clock.advance(10);
    await connection.close();
    expect(await problem).toMatchObject({ reason: 'Closed' });
    expect(await problemOf(ask())).toMatchObject({ reason: 'Closed' });
    expect(clients).toHaveLength(1);
  });
});
