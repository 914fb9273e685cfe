// What a CopilotSession sets of its session: model and compaction, put into the calls that make or load it.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, answersFirstClose, type ClientEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const infiniteSessions = { enabled: true, backgroundCompactionThreshold: 0.5 };
const settings = { model: 'of-the-resource', infiniteSessions };

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
  world.ownership.record('s', { owner: undefined, participants: [], settings });
});

/** Answers the last call of this method and returns its params. */
async function told(method: string, result: object = { sessionId: 's' }): Promise<Record<string, unknown>> {
  await settle();
  const { id, params = {} } = world.server.last(method);
  world.server.answer(id, result);
  await settle();
  return params;
}

/** The params of the `session.create` of a client of its own. */
async function created(params: object = {}): Promise<Record<string, unknown>> {
  world.client().call('session.create', { sessionId: 's', ...params });
  await told('sessions.getMetadata', {});
  return told('session.create');
}

async function resumed(client: ClientEnd, params: object = {}): Promise<Record<string, unknown>> {
  client.call('session.resume', { sessionId: 's', ...params });
  return told('session.resume');
}

const own = { model: 'of-the-client', infiniteSessions: { enabled: false } };

describe('a session of a CopilotSession', () => {
  it.each([{}, own])('is made with its settings, whatever the client states (%j)', async (params) => {
    expect(await created(params)).toMatchObject(settings);
  });

  it('is resumed with them where it is not loaded', async () => {
    expect(await resumed(world.client(), own)).toMatchObject(settings);
  });

  it('keeps the model that it has where another client attaches, who may have switched it', async () => {
    await resumed(world.client());
    const params = await resumed(world.client(), own);
    expect(params).not.toHaveProperty('model');
    expect(params).toMatchObject({ infiniteSessions });
  });

  it('keeps the model of its server where it is loaded again for its clients, and is compacted as before', async () => {
    const client = world.client();
    await resumed(client);
    world.server.events.closed(undefined);
    await world.clock.advance(1000);
    client.call('session.mode.get', { sessionId: 's' });
    const params = await told('session.resume');
    expect(params).not.toHaveProperty('model');
    expect(params).toMatchObject({ infiniteSessions });
  });

  it('is made again with them where it has had no turn', async () => {
    const client = world.client();
    client.call('session.create', { sessionId: 's', ...own });
    await told('sessions.getMetadata', {});
    await told('session.create');
    world.server.events.closed(undefined);
    await world.clock.advance(1000);
    client.call('session.mode.get', { sessionId: 's' });
    expect(await told('session.create')).toMatchObject(settings);
  });

  it('is told them again with what is declared anew, because the server may load it for that', async () => {
    const client = world.client();
    await resumed(client, { hooks: true });
    await resumed(world.client());
    client.leave();
    expect(await told('session.resume')).toMatchObject({ hooks: false, infiniteSessions });
  });

  it('has a changed model from the next time on that a client loads it', async () => {
    const client = world.client();
    await resumed(client);
    client.leave();
    await world.clock.advance(60_000);
    await told('session.detach');
    world.ownership.record('s', { owner: undefined, participants: [], settings: { model: 'next' } });
    const params = await resumed(world.client(), own);
    expect(params).toMatchObject({ model: 'next', infiniteSessions: own.infiniteSessions });
  });

  it('has its model in place of that of the tenant', async () => {
    const provider = { type: 'openai', baseUrl: 'https://models.example.com' };
    world.fleet.change({ model: { read: async () => ({ login: { provider }, defaultModel: 'of-the-tenant' }) } });
    answersFirstClose(world);
    expect(await created()).toMatchObject({ provider, model: 'of-the-resource' });
  });
});

it('a session without settings in its CopilotSession is as its client states', async () => {
  world.ownership.record('s', { owner: undefined, participants: [] });
  expect(await created(own)).toMatchObject(own);
});

describe('where users are kept apart', () => {
  const LOOK = 'sessions.getClientMetadata';

  /** The params with which alice makes the session. */
  async function made(): Promise<Record<string, unknown>> {
    world.fleet.change({ isolation: 'SharedTrusted' });
    world.client(TENANT, 'alice').call('session.create', { sessionId: 's', ...own });
    await settle();
    world.server.answer(world.server.last(LOOK).id, [{ sessionId: 's', status: 'notFound' }]);
    return told('session.create');
  }

  it('the CopilotSession of the owner sets them', async () => {
    world.ownership.record('s', { owner: 'alice', participants: [], settings });
    expect(await made()).toMatchObject(settings);
  });

  it('one without an owner does not: it may be about the session of anybody', async () => {
    expect(await made()).toMatchObject(own);
  });
});
