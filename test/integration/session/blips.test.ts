// The writes that an unreachable server costs: the session controller with a survey of a fake server, over a real API server.
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { CopilotSession } from '../../../src/resources/session.ts';
import { StoredLabel } from '../../../src/session/decisions/labels.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { FakeNetwork } from '../../support/fake-network.ts';
import { FakeSessions } from '../../support/fake-session-server.ts';
import type { FaultProxy } from '../../support/fault-proxy.ts';
import { serverTarget } from '../../support/servers.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

jest.setTimeout(120_000);

const SESSIONS = 20;
const SECOND = 1000;

let api: TenantApi;
let proxy: FaultProxy;
beforeAll(async () => {
  api = await startTenantApi();
  proxy = await api.proxy();
}, 90_000);
afterAll(() => api.stop());

it('a connection that is back within seconds costs no write, one that stays lost costs two for each session', async () => {
  const network = new FakeNetwork();
  const acme = network.add('acme-0');
  const made: { servers?: ServerRegistry; sessions?: FakeSessions } = {};
  await using user = await SessionWorld.open(api.kubeconfig);
  await using world = await SessionWorld.open(api.server.kubeconfig({ server: proxy.url }), user.namespace, (clock) => {
    made.sessions = new FakeSessions(acme, clock);
    made.servers = new ServerRegistry({ clock, random: () => 0.5, dial: network.dial });
    return new Survey({
      servers: made.servers,
      labelKeys: Object.values(StoredLabel),
      log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
    });
  });
  const writes = () =>
    proxy.journal.filter(({ verb }) => ['create', 'update', 'patch', 'delete'].includes(verb)).length;
  /** The number of writes after `what`, while this time passes. */
  const counted = async (what: () => void, seconds: number): Promise<number> => {
    const before = writes();
    what();
    await world.advance(seconds * SECOND, SECOND);
    return writes() - before;
  };
  const reasons = async () => {
    const { items } = await user.client.listAll(CopilotSession, { namespace: user.namespace });
    return [...new Set(items.map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.reason))];
  };

  await user.createTenant();
  for (let n = 0; n < SESSIONS; n += 1) {
    await user.createSession({}, `s${n}`);
    made.sessions?.turn(`s${n}`);
  }
  const startedAt = world.clock.now() - 3600 * SECOND;
  made.servers?.set(serverTarget({ key: world.server(), startedAt }));
  await world.advance(60 * SECOND, SECOND);
  expect(await reasons()).toEqual(['SessionIdle']);

  expect(await counted(() => acme.cut('ECONNRESET'), 40)).toBe(0);
  const goAway = (): void => {
    acme.behaviour = 'refuses';
    acme.cut('ECONNRESET');
  };
  expect(await counted(goAway, 60)).toBe(SESSIONS);
  expect(await reasons()).toEqual(['TenantUnavailable']);
  expect(await counted(() => (acme.behaviour = 'answers'), 40)).toBe(SESSIONS);
  expect(await reasons()).toEqual(['SessionIdle']);
  made.servers?.close();
});
