// The writes of hundreds of sessions at once, which do not depend on the machine's speed.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { CopilotSession } from '../../../src/resources/session.ts';
import { sessionFacts } from '../../support/fake-sessions.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(180_000);

const SESSIONS = 500;
/** Writes of one session from its creation to its first status: the finalizer, and the status. */
const WRITES_TO_BEGIN = 2;

let api: TenantApi;
let proxy: FaultProxy;
beforeAll(async () => {
  api = await startTenantApi();
  proxy = await api.proxy();
}, 90_000);
afterAll(() => api.stop());

const name = (index: number) => `s${index}`;
const writes = () => proxy.journal.filter(({ verb }) => ['create', 'update', 'patch', 'delete'].includes(verb)).length;

/** The number of writes of `what`. */
async function counted(what: () => Promise<unknown>): Promise<number> {
  const before = writes();
  await what();
  return writes() - before;
}

it(`${SESSIONS} sessions start, are used and are deleted with a known number of writes each`, async () => {
  await using user = await SessionWorld.open(api.kubeconfig);
  await using world = await SessionWorld.open(api.server.kubeconfig({ server: proxy.url }), user.namespace);
  await user.createTenant();
  world.source.answer(world.server());
  const indexes = Array.from({ length: SESSIONS }, (_, index) => index);
  for (let start = 0; start < SESSIONS; start += 50) {
    await Promise.all(indexes.slice(start, start + 50).map((index) => user.createSession({}, name(index))));
  }
  const listed = async () => (await user.client.listAll(CopilotSession, { namespace: user.namespace })).items;
  const phases = async () => new Set((await listed()).map(({ status }) => status?.phase));

  expect(await counted(() => world.settle())).toBe(SESSIONS * WRITES_TO_BEGIN);
  expect(await phases()).toEqual(new Set(['Pending']));

  const facts = indexes.map((index) => sessionFacts(name(index)));
  const usedIt = async (): Promise<void> => {
    world.source.answer(world.server(), ...facts);
    await world.settle();
  };
  expect(await counted(usedIt)).toBe(SESSIONS);
  expect(await phases()).toEqual(new Set(['Idle']));

  // Nothing has changed: neither another answer nor the passing of time causes a write.
  expect(
    await counted(async () => {
      await usedIt();
      await world.advance(10 * 60_000, 60_000);
    }),
  ).toBe(0);

  for (const { metadata } of await listed()) {
    await user.client.delete(CopilotSession, user.ref(metadata.name), { uid: metadata.uid ?? '' });
  }
  // The finalizer of each.
  expect(await counted(() => world.settle())).toBe(SESSIONS);
  expect(await listed()).toEqual([]);
  expect(await world.failures()).toBe(0);
});
