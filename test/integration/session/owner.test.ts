// A session id under which another user's data is stored: kept after a resource was deleted, or recovered from a lost cluster.
import { approveAll } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { StoredLabel } from '../../../src/session/decisions/labels.ts';
import { ServerRegistry } from '../../../src/servers/registry.ts';
import { Survey } from '../../../src/servers/survey/survey.ts';
import { withClient } from '../../support/chat.ts';
import { CopilotServer } from '../../support/copilot-server.ts';
import { sessionFacts } from '../../support/fake-sessions.ts';
import { TestModel } from '../../support/model.ts';
import { serverTarget } from '../../support/servers.ts';
import { SessionWorld } from '../../support/session-world.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(60_000);

const MINUTE = 60_000;
const OWNER = 'copilot-operator.dev/owner';

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const open = () => SessionWorld.open(api.kubeconfig);
const gone = async (world: SessionWorld) => (await world.get(CopilotSession, 'alpha')) === undefined;
/** `alpha` as its server reports it now, with these labels. */
const stored = (world: SessionWorld, owner: string | undefined, facts: Parameters<typeof sessionFacts>[1] = {}) =>
  sessionFacts('alpha', {
    lastActivityTime: world.clock.now(),
    activity: 'Loaded',
    labels: owner === undefined ? undefined : { [OWNER]: owner },
    ...facts,
  });

/** The session `alpha` of alice is on acme-0, and a resource with that id is created. */
async function taken(world: SessionWorld, spec: Parameters<SessionWorld['createSession']>[0]): Promise<void> {
  await world.createTenant();
  await world.createClaim();
  world.source.answer(world.server(), stored(world, 'alice'));
  await world.createSession(spec);
  await world.settle();
}

async function remove(world: SessionWorld): Promise<void> {
  await world.delete(CopilotSession, 'alpha');
  await world.settle();
}

describe('a session that is stored under another owner', () => {
  it('is not held by the resource, which is reported once and without the owner’s name', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob' });
    expect(await world.condition('Ready')).toBe('False OwnedByAnother');
    expect(await world.condition('Stalled')).toBe('True OwnedByAnother');
    expect(await world.condition('Reconciling')).toBe('False Blocked');
    const { conditions: _, ...others } = await world.status();
    expect(others).toEqual({ sessionId: 'alpha', observedGeneration: 1 });
    expect(world.events).toEqual([
      expect.stringMatching(/^Warning OwnedByAnother: .*spec\.owner of CopilotSession alpha/),
    ]);
    const { resourceVersion } = (await world.session()).metadata;
    await world.advance(10 * MINUTE, MINUTE);
    expect((await world.session()).metadata.resourceVersion).toBe(resourceVersion);
    expect(JSON.stringify([await world.session(), world.events])).not.toContain('alice');
    expect(world.source.called('label')).toEqual([]);
  });

  it('does not expire with the ttl of that resource', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob', lifecycle: 'Ephemeral', ttl: '1m' });
    await world.advance(10 * MINUTE, MINUTE);
    expect(world.source.called('deleteUnused')).toEqual([]);
    expect(await gone(world)).toBe(false);
  });

  it('stays when that resource is deleted, at once, with an event', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob' });
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(world.source.has(world.server(), 'alpha')).toBe(true);
    expect(world.source.calls.filter((call) => !call.startsWith('refresh'))).toEqual([]);
    expect(world.events.at(-1)).toMatch(/^Normal SessionDataOfAnother: .*session alpha of CopilotTenant acme is kept/);
    expect(world.events.join()).not.toContain('alice');
    expect([...world.source.watched]).toEqual([]);
  });

  it('stays also when no server runs', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob' });
    await world.changeTenant({ suspend: true });
    world.source.silence(world.server());
    await world.observeTenant({ replicas: 0 });
    await world.settle();
    expect(await world.condition('Stalled')).toBe('True OwnedByAnother');
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(await world.jobs()).toEqual([]);
  });

  it('stays also on the retained volume of a tenant without servers', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob' });
    await world.changeTenant({ replicas: 0 });
    world.source.silence(world.server());
    await world.observeTenant({ replicas: 0 });
    await world.settle();
    await remove(world);
    expect(await gone(world)).toBe(true);
    expect(await world.jobs()).toEqual([]);
  });

  it('stays when that resource is deleted before the stored owner was read', async () => {
    await using world = await open();
    await world.createTenant();
    world.source.answer(world.server(), stored(world, undefined));
    await world.createSession({ owner: 'bob', ttl: '1m' });
    await world.advance(10 * MINUTE, MINUTE);
    expect(await world.status()).toEqual({});
    expect(world.source.called('deleteUnused')).toEqual([]);
    await remove(world);
    expect(await world.condition('Reconciling')).toBe('True DeletingData');
    expect([...world.source.watched]).toEqual([`${world.server()} alpha`]);
    world.source.answer(world.server(), stored(world, 'alice'));
    await world.settle();
    expect(await gone(world)).toBe(true);
    expect(world.source.called('delete')).toEqual([]);
  });

  it('is held once that owner is removed, and then deleted with the resource', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob' });
    world.source.answer(world.server(), stored(world, ''));
    await world.settle();
    expect(await world.condition('Ready')).toBe('True SessionIdle');
    expect(await world.condition('Stalled')).toBe('False NotStalled');
    expect(world.source.stored.get('alpha')).toMatchObject({ [OWNER]: 'bob' });
    await remove(world);
    expect(world.source.has(world.server(), 'alpha')).toBe(false);
    expect(await gone(world)).toBe(true);
  });

  it('leaves its id to the resource when it is gone', async () => {
    await using world = await open();
    await taken(world, { owner: 'bob' });
    world.source.answer(world.server());
    await world.settle();
    expect(await world.condition('Ready')).toBe('True AwaitingFirstTurn');
    expect((await world.status()).phase).toBe('Pending');
  });

  it('is not held by a resource without an owner, which neither relabels, nor expires, nor deletes it', async () => {
    await using world = await open();
    await taken(world, { participants: ['mallory'], ttl: '1m' });
    expect(await world.condition('Ready')).toBe('False OwnedByAnother');
    await world.advance(10 * MINUTE, MINUTE);
    await remove(world);
    expect(await gone(world)).toBe(true);
    for (const method of ['label', 'deleteUnused', 'delete']) expect(world.source.called(method)).toEqual([]);
    expect(world.source.has(world.server(), 'alpha')).toBe(true);
  });
});

it('a real server keeps the session of its owner when another user creates and deletes a resource of that id', async () => {
  using model = await TestModel.start();
  await using server = await CopilotServer.start('runtime', 'sesame');
  const servers = new ServerRegistry({ clock: systemClock, random: Math.random });
  const survey = new Survey({
    servers,
    labelKeys: Object.values(StoredLabel),
    log: { info: () => undefined, error: (...args: unknown[]) => expect(args).toBeUndefined() },
  });
  await using world = await SessionWorld.open(api.kubeconfig, undefined, () => survey);
  const key = world.server();
  const until = (what: string, is: () => boolean | Promise<boolean>) =>
    waitFor(
      what,
      async () => {
        await world.settle();
        return is();
      },
      { withinMs: 20_000, everyMs: 200 },
    );
  const isThere = () => survey.get(key)?.sessions.has('alpha') ?? false;
  const deleted = async (): Promise<void> => {
    await world.delete(CopilotSession, 'alpha');
    await until('the resource is gone', () => gone(world));
  };
  try {
    const { host, port } = server;
    servers.set(serverTarget({ key, host, port, startedAt: Date.now() - MINUTE }));
    await world.createTenant();
    await world.createSession({ owner: 'alice', deletionPolicy: 'Retain' });
    const binding = model.bind(server, 'sesame');
    await withClient(binding, async (client) => {
      const { model: name = '', provider } = binding;
      const options = { sessionId: 'alpha', model: name, onPermissionRequest: approveAll };
      const session = await client.createSession({ ...options, ...(provider !== undefined && { provider }) });
      await session.sendAndWait({ prompt: 'hello' });
      await until('its owner is stored', () => survey.get(key)?.sessions.get('alpha')?.labels?.[OWNER] === 'alice');
    });
    await deleted();

    await world.createSession({ owner: 'bob' });
    await until('bob is refused', async () => (await world.condition('Ready')) === 'False OwnedByAnother');
    await deleted();
    expect(isThere()).toBe(true);

    await world.createSession({ owner: 'alice' });
    await until('alice holds it', async () => (await world.condition('Ready')) === 'True SessionIdle');
    await deleted();
    expect(isThere()).toBe(false);
  } finally {
    servers.close();
  }
});
