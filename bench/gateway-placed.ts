// What a gateway pays for the records of sessions on a shared volume: for the first frame of a session that it has not had, at its start, and in memory.
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryStore } from '../src/gateway/locks/memory-store.ts';
import { parseRedisAddress } from '../src/gateway/locks/redis/address.ts';
import { openRedisStore } from '../src/gateway/locks/redis/open-redis-store.ts';
import type { CoordinationStore, Place } from '../src/gateway/locks/store.ts';
import { systemClock } from '../src/kube/clock/clock.ts';
import { grantKeyPem, grantSigner } from '../src/resources/session-grant.ts';
import { BINDING_TOKEN, GatewayInProcess } from '../test/support/gateway.ts';
import { GuardProcess } from '../test/support/guard-process.ts';
import { RedisServer } from '../test/support/redis-server.ts';
import { TENANT } from '../test/support/static-fleet.ts';
import { openGatewayWorld } from './lib/gateway-world.ts';
import { Caller } from './lib/lost-server.ts';
import { rssMegabytes } from './lib/process.ts';
import { startPipe, startScriptedServer } from './lib/proxies.ts';
import { type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** An address of its own, so that a server of another benchmark is not in the way. */
const HOST = '127.0.7.6';
const RECORDS = 100_000;
/** Written at a time. */
const WIDTH = 500;
const FRAMES = 400;
const WARM_UP = 50;
const FRAME_LIMIT_MS = 0.3;
const STARTS = 5;
const START_LIMIT_S = 2;
/** Fewer than one client may be attached to. */
const ROUTED = 1_000;
const MEMORY_LIMIT_MB = 60;
const TOKEN = 'f3b1c0ffee';
const silent = { info: () => undefined, warn: () => undefined };

/** Where a guard stands, and who signs for it. */
interface Guarded {
  /** `namespace/name`. */
  readonly tenant: string;
  readonly place: Place;
  /** What it verifies grants with, as PEM. */
  readonly keys: string;
  /** The connection token of the server behind it. */
  readonly token: string;
}

export async function run(): Promise<BenchResult> {
  await using full = await RedisServer.start();
  const frame = await frameFigure(full);
  await full.admin.flushall();
  const starts = await startFigures(full);
  return {
    name: 'Gateway: placed sessions',
    about:
      `A server with a script behind a real guard, on a shared volume, and sessions that an earlier gateway has placed there. The first frame is a client's session.resume of such a session, of which the gateway, in the process that measures, has to read the record, to advance it and to ask the guard; records in Redis. ` +
      `Floor: the same with the same records in the memory of the gateway. Medians of ${FRAMES}, in turn. A restart is that of a gateway as it ships, from the start of the process until such a call is answered, with ${RECORDS} records in Redis; floor: with those of the sessions that are called. Medians of ${STARTS}, in turn. ` +
      `Memory is resident, after ${ROUTED} calls of that kind.`,
    figures: [frame, ...starts],
  };
}

/** A server with a script behind its guard. */
async function startGuarded({
  tenant,
  place,
  keys,
  token,
}: Guarded): Promise<{ readonly port: number } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const disk = mkdtempSync(join(tmpdir(), 'copilot-operator-placed-'));
  stack.defer(() => rmSync(disk, { recursive: true, force: true }));
  const [sessions, keyFile] = [join(disk, 'sessions'), join(disk, 'keys.pem')];
  mkdirSync(sessions);
  writeFileSync(keyFile, keys);
  const { port } = stack.use(await startScriptedServer({ host: '127.0.0.1', port: 0, token }));
  const cli = { host: '127.0.0.1', port };
  const guard = stack.use(await GuardProcess.start({ tenant, ...place, cli, sessions, keyFile }));
  const kept = stack.move();
  return { port: guard.port, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

function redisStore({ url }: RedisServer): CoordinationStore {
  const address = parseRedisAddress(url);
  const login = { username: undefined, passwordFile: undefined, sentinelPasswordFile: undefined, caFile: undefined };
  return openRedisStore({ address, ...login }, { clock: systemClock, random: Math.random, log: silent });
}

/** An id that no other number has. */
function idOf(index: number): string {
  return `0d9c4a5e-7b1f-4f6a-9c3d-${String(index).padStart(12, '0')}`;
}

/** Sessions from number `from` on, of which each is to be used once. */
class Placed {
  #next: number;

  constructor(from: number) {
    this.#next = from;
  }

  next(): string {
    return idOf((this.#next += 1) - 1);
  }

  /** As an earlier gateway has done it. */
  static async put(
    store: CoordinationStore,
    tenant: string,
    place: Place,
    from: number,
    count: number,
  ): Promise<Placed> {
    const one = async (index: number): Promise<void> => {
      const key = { tenant, session: idOf(index) };
      const { outcome, record } = await store.advance(key, { seen: undefined, floor: 0, place, holder: 'earlier' });
      if (outcome !== 'Won') throw new Error(`session ${key.session} has a record already`);
      await store.settle(key, record);
    };
    for (let done = 0; done < count; done += WIDTH) {
      await Promise.all(Array.from({ length: WIDTH }, (_, index) => one(from + done + index)));
    }
    return new Placed(from);
  }
}

async function frameFigure(redis: RedisServer): Promise<Figure> {
  await using stack = new AsyncDisposableStack();
  const [tenant, podUID] = [`${TENANT.namespace}/${TENANT.name}`, 'pod-of-0'];
  const place = { server: `${tenant}-0`, podUID };
  const pem = grantKeyPem(generateKeyPairSync('ed25519'));
  const guard = stack.use(await startGuarded({ tenant, place, keys: pem.publicKey, token: TOKEN }));
  const signers = [grantSigner(pem.privateKey)];
  const clientOf = async (store: CoordinationStore, holder: string): Promise<Caller> => {
    const fateOf = (): Promise<never> => Promise.reject(new Error('no pod has to be left'));
    const gateway = stack.use(
      await GatewayInProcess.start({
        token: TOKEN,
        shared: { store, signers: () => signers, fates: { fateOf }, holder },
      }),
    );
    gateway.fleet.serve([{ host: '127.0.0.1', port: guard.port }]);
    gateway.fleet.change({ topology: 'SharedStorage', pods: [podUID] });
    const client = await Caller.admitted({ host: gateway.host, port: gateway.port, token: BINDING_TOKEN });
    stack.defer(() => client.close());
    return client;
  };
  const [stored, memory] = [redisStore(redis), new MemoryStore()];
  stack.defer(() => stored.close());
  const [through, without] = [await clientOf(stored, 'with Redis'), await clientOf(memory, 'without')];
  const uid = `uid-of-${TENANT.name}`;
  const ids = await Placed.put(stored, uid, place, 0, FRAMES + WARM_UP);
  const others = await Placed.put(memory, uid, place, RECORDS, FRAMES + WARM_UP);
  const [ours, floor]: [number[], number[]] = [[], []];
  for (let round = -WARM_UP; round < FRAMES; round += 1) {
    const [one, other] = [await resumeMs(through, ids.next()), await resumeMs(without, others.next())];
    if (round < 0) continue;
    ours.push(one);
    floor.push(other);
  }
  const [more, alone] = [median(ours) - median(floor), median(floor)];
  const metric = 'first frame of a placed session, p50, more than without a store';
  return { metric, value: more, floor: alone, unit: 'ms', aim: `<= ${FRAME_LIMIT_MS} ms`, met: more <= FRAME_LIMIT_MS };
}

async function startFigures(full: RedisServer): Promise<Figure[]> {
  await using world = await openGatewayWorld(HOST, {
    topology: 'SharedStorage',
    storage: { accessMode: 'ReadWriteMany', storageClassName: 'shared' },
  });
  const { tenant, tenantUID, server, podUID } = world.place;
  const place = { server, podUID };
  await using guard = await startGuarded({ tenant, place, keys: world.grantKeys, token: world.server.token });
  // A guard listens at all addresses of a machine, of which others may have servers.
  await using _at = await startPipe({ host: '127.0.0.1', port: guard.port }, { at: world.server });
  await using few = await RedisServer.start();
  const fill = async (redis: RedisServer, from: number, count: number): Promise<Placed> => {
    const store = redisStore(redis);
    try {
      return await Placed.put(store, tenantUID, place, from, count);
    } finally {
      await store.close();
    }
  };
  const placed = { full: await fill(full, 0, RECORDS), few: await fill(few, RECORDS, 2 * ROUTED) };
  const found = { full: { seconds: [] as number[], rss: 0 }, few: { seconds: [] as number[], rss: 0 } };
  for (let round = 0; round <= STARTS; round += 1) {
    for (const records of ['full', 'few'] as const) {
      const sessions = placed[records];
      const begun = performance.now();
      await using gateway = await world.startGateway({}, inRedis(records === 'full' ? full : few));
      const client = await Caller.admitted(gateway.door);
      await routed(client, sessions.next());
      // The first one loads what the machine loads once.
      if (round > 0) found[records].seconds.push((performance.now() - begun) / 1_000);
      if (round === STARTS) {
        for (let calls = 0; calls < ROUTED; calls += 1) await resumeMs(client, sessions.next());
        found[records].rss = rssMegabytes(gateway.pid);
      }
      client.close();
    }
  }
  const [seconds, floor] = [median(found.full.seconds), median(found.few.seconds)];
  const more = found.full.rss - found.few.rss;
  return [
    {
      metric: `restart until routing, ${RECORDS} records`,
      value: seconds,
      floor,
      ratio: seconds / floor,
      unit: 's',
      aim: `<= ${START_LIMIT_S} s`,
      met: seconds <= START_LIMIT_S,
    },
    {
      metric: `memory with ${RECORDS} records, more than with few`,
      value: more,
      floor: found.few.rss,
      unit: 'MB',
      aim: `<= ${MEMORY_LIMIT_MB} MB`,
      met: more <= MEMORY_LIMIT_MB,
    },
  ];
}

function inRedis({ url }: RedisServer): string[] {
  return ['--coordination=redis', `--redis-url=${url}`];
}

/** The first call of a gateway that has just started: it may not have read the key of grants yet. */
async function routed(client: Caller, sessionId: string): Promise<void> {
  for (;;) {
    try {
      await resumeMs(client, sessionId);
      return;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('no key yet')) throw error;
    }
  }
}

async function resumeMs(client: Caller, sessionId: string): Promise<number> {
  const begun = performance.now();
  await client.call('resume', 'session.resume', { sessionId });
  return performance.now() - begun;
}
