// What the coordination store in Redis costs: a record that is taken and given back against a bare lock on the same server, and a hundred thousand records.
import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { parseRedisAddress } from '../src/gateway/locks/redis/address.ts';
import { openRedisStore } from '../src/gateway/locks/redis/open-redis-store.ts';
import type { CoordinationStore, SessionRecord } from '../src/gateway/locks/store.ts';
import { systemClock } from '../src/kube/clock/clock.ts';
import { returnMemory } from '../src/kube/runtime/return-memory.ts';
import { RedisServer } from '../test/support/redis-server.ts';
import { against, bounded, type BenchResult, type Figure } from './lib/result.ts';
import { median } from './lib/statistics.ts';

/** Many short ones, in turns, so that what else the machine does falls on both. */
const ROUNDS = 200;
const TAKEN = 50;
const WARM_UP = 50;
const TAKEN_LIMIT = 1.5;
const RECORDS = 100_000;
const WIDTH = 500;
const MEMORY_LIMIT_MB = 60;
const LIST_LIMIT_S = 2;
const TTL_MS = 30_000;
const TENANT = '8b7f6f0e-6f3c-4c7e-9f63-2f7d1b0c9a11';
const TO = { server: 'team/acme-0', podUID: '1c4a0f0e-32a5-4a7e-8c1f-0a9d8f7b6e55' };
const HOLDER = 'copilot-gateway-7c9d8f7b6e-x2x4z-0a1b2c3d4e5f';

const silent = { info: () => undefined, warn: () => undefined };

export async function run(): Promise<BenchResult> {
  await using server = await RedisServer.start();
  const store = openRedisStore(
    {
      address: parseRedisAddress(server.url),
      username: undefined,
      passwordFile: undefined,
      sentinelPasswordFile: undefined,
      caFile: undefined,
    },
    { clock: systemClock, random: Math.random, log: silent },
  );
  const bare = new Redis({ host: '127.0.0.1', port: server.port });
  try {
    return {
      name: 'Coordination store',
      about:
        `Redis on the same machine. Floor: a bare lock, \`SET NX PX\` and a Lua script that compares and deletes, by the same client. A record is made where there is none, and deleted if it is still ` +
        `that one, one after the other, median of ${ROUNDS} times ${TAKEN}. Records: ${RECORDS} of one tenant; memory is what the process has more when it keeps all of them in a map, collected.`,
      figures: [await takenFigure(store, bare), ...(await recordFigures(store))],
    };
  } finally {
    await store.close();
    bare.disconnect();
  }
}

/** What has one gateway have a session and no other, and what has none have it. */
async function takenFigure(store: CoordinationStore, bare: Redis): Promise<Figure> {
  const lua = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;
  const sha = createHash('sha1').update(lua).digest('hex');
  await bare.script('LOAD', lua);
  const key = { tenant: TENANT, session: 'taken' };
  const wish = { seen: undefined, floor: 0, place: TO, holder: HOLDER };
  const ours = async (): Promise<void> => {
    const { outcome, record } = await store.advance(key, wish);
    if (outcome !== 'Won') throw new Error('another one has it');
    if ((await store.forget(key, record)).outcome !== 'Forgotten') throw new Error('another one has it by now');
  };
  const floor = async (): Promise<void> => {
    if ((await bare.set('lock', HOLDER, 'PX', TTL_MS, 'NX')) !== 'OK') throw new Error('the lock is held');
    await bare.evalsha(sha, 1, 'lock', HOLDER);
  };
  const micros = { ours: [] as number[], floor: [] as number[] };
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    const [first, second] = [await microsOf(floor), await microsOf(ours)];
    if (round < 0) continue;
    micros.floor.push(first);
    micros.ours.push(second);
  }
  return against('a record taken and given back', median(micros.ours), median(micros.floor), 'µs', TAKEN_LIMIT);
}

async function microsOf(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  for (let done = 0; done < TAKEN; done += 1) await work();
  return ((performance.now() - begun) / TAKEN) * 1_000;
}

async function recordFigures(store: CoordinationStore): Promise<Figure[]> {
  const begun = performance.now();
  for (let from = 0; from < RECORDS; from += WIDTH) {
    await Promise.all(
      Array.from({ length: WIDTH }, async (_, index) => {
        const key = { tenant: TENANT, session: `0d9c4a5e-7b1f-4f6a-9c3d-${String(from + index).padStart(12, '0')}` };
        const result = await store.advance(key, { seen: undefined, floor: 0, place: TO, holder: HOLDER });
        if (result.outcome === 'Won') await store.settle(key, result.record);
      }),
    );
  }
  const written = (performance.now() - begun) / 1_000;
  const before = megabytes();
  const seconds: number[] = [];
  let kept = new Map<string, SessionRecord>();
  for (let round = 0; round < 3; round += 1) {
    kept = new Map();
    const listed = performance.now();
    for await (const page of store.list(TENANT)) for (const [session, record] of page) kept.set(session, record);
    seconds.push((performance.now() - listed) / 1_000);
  }
  if (kept.size !== RECORDS) throw new Error(`${kept.size} records were listed, not ${RECORDS}`);
  const after = megabytes();
  // Still there, so that it is not collected before.
  if (!kept.has('none')) kept.clear();
  return [
    bounded(`list ${RECORDS} records`, median(seconds), 's', LIST_LIMIT_S),
    bounded(`memory of ${RECORDS} records`, after - before, 'MB', MEMORY_LIMIT_MB),
    { metric: `write ${RECORDS} records, two steps each`, value: written, unit: 's' },
  ];
}

function megabytes(): number {
  returnMemory();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}
