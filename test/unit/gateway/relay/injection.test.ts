import { describe, expect, it } from '@jest/globals';
import { ModelUnavailableError, type SessionModel } from '../../../../src/gateway/model.ts';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, answersFirstClose, type ClientEnd } from '../../../support/relay-world.ts';

const READ_MS = 20_000;
const login = (apiKey: string): SessionModel => ({ login: { provider: { baseUrl: 'https://tenant', apiKey } } });
const OWN = { provider: { baseUrl: 'https://client', apiKey: 'own' } };

/** A tenant whose Secret has a key. */
class KeyWorld extends RelayWorld {
  key: string | undefined = 'first';
  /** In place of a provider with the key. */
  gitHubToken: string | undefined;
  reads = 0;

  constructor() {
    super();
    this.say();
    answersFirstClose(this);
  }

  /** The tenant says something else than before. */
  say(): void {
    this.fleet.change({ model: { read: () => this.#read() } });
  }

  async #read(): Promise<SessionModel> {
    this.reads += 1;
    if (this.key === undefined) throw new ModelUnavailableError('look at the condition');
    return this.gitHubToken === undefined ? login(this.key) : { login: { gitHubToken: this.gitHubToken } };
  }

  /** The tenant says that it has a GitHub token now. */
  async goesToGitHub(): Promise<void> {
    this.gitHubToken = 'gho_tenant';
    this.say();
    await settle();
  }

  /** The server answers the last call of this kind. */
  async answerLast(method: string): Promise<void> {
    await settle();
    this.server.answer(this.server.last(method).id, { sessionId: 's' });
    await settle();
  }

  /** Providers that the server was told. */
  get told(): unknown[] {
    return this.server.received.flatMap(({ params }) =>
      params !== undefined && 'provider' in params ? [params['provider']] : [],
    );
  }
}

const keyOf = (key: string) => login(key).login['provider'];

describe('a session of a tenant with a login', () => {
  it('gets it with the attach, and the next one when the Secret has changed', async () => {
    const world = new KeyWorld();
    await world.attached('s', OWN);
    expect(world.told).toEqual([keyOf('first')]);
    world.key = 'second';
    await world.clock.advance(READ_MS);
    expect(world.server.last('session.resume').params).toEqual({
      ...login('second').login,
      sessionId: 's',
      disableResume: true,
    });
    await world.answerLast('session.resume');
    await world.clock.advance(3 * READ_MS);
    expect(world.told).toEqual([keyOf('first'), keyOf('second')]);
  });

  it('gets it at once when the tenant says something else, which is looked at once', async () => {
    const world = new KeyWorld();
    await world.attached('s');
    world.key = 'second';
    world.say();
    await world.answerLast('session.resume');
    expect(world.told).toEqual([keyOf('first'), keyOf('second')]);
    const { reads } = world;
    world.fleet.change({ credentials: [] });
    await settle();
    expect(world.reads).toBe(reads);
  });

  it('gets it again if the server did not take it', async () => {
    const world = new KeyWorld();
    await world.attached('s');
    world.key = 'second';
    await world.clock.advance(READ_MS);
    world.server.refuse(world.server.last('session.resume').id, 'no');
    await settle();
    await world.clock.advance(READ_MS);
    expect(world.told).toEqual([keyOf('first'), keyOf('second'), keyOf('second')]);
  });

  it('keeps what it has while the Secret cannot be read, and others are refused', async () => {
    const world = new KeyWorld();
    const first = await world.attached('s');
    world.key = undefined;
    await world.clock.advance(2 * READ_MS);
    expect(world.told).toEqual([keyOf('first')]);
    const id = first.call('session.create', { sessionId: 'other', ...OWN });
    await settle();
    expect(first.answer(id)?.error).toEqual({
      code: -32052,
      message: 'look at the condition',
      data: { retryable: true, condition: 'ModelConfigured' },
    });
    expect(world.server.count('session.create')).toBe(0);
    expect(await world.counted('refused_calls_total')).toEqual({ ModelUnavailable: 1 });
  });

  it('keeps it when a client leaves, whose provider and those of the others count for nothing', async () => {
    const world = new KeyWorld();
    const leaving = await world.attached('s', { ...OWN, hooks: true });
    await world.attached('s', { provider: { baseUrl: 'https://other' } });
    leaving.leave();
    await settle();
    expect(world.server.last('session.resume').params).toMatchObject({ hooks: false });
    expect(world.told).toEqual([keyOf('first'), keyOf('first'), keyOf('first')]);
  });

  it('is not given the login of before by what waits behind the next one', async () => {
    const world = new KeyWorld();
    await world.attached('s');
    const leaving = await world.attached('s', { hooks: true });
    world.key = 'second';
    world.say();
    await settle();
    leaving.leave();
    await world.answerLast('session.resume');
    expect(world.server.last('session.resume').params).toMatchObject({ hooks: false });
    expect(world.told.slice(2)).toEqual([keyOf('second'), keyOf('second')]);
  });

  it.each<[string, (world: KeyWorld, leaving: ClientEnd) => void]>([
    ['the next login', (world) => world.say()],
    ['a client that leaves', (_, leaving) => leaving.leave()],
  ])(
    'is not loaded by %s where the server has unloaded it without a word, but by its next call, as a whole',
    async (_, tell) => {
      const world = new KeyWorld();
      const client = await world.attached('s', { tools: [{ name: 'lookup' }], excludedTools: ['bash'] });
      const leaving = await world.attached('s', { hooks: true });
      const rules = { sessionId: 's', scope: 'session', add: [1] };
      client.call('session.permissions.modifyRules', rules);
      await world.answerLast('session.permissions.modifyRules');
      world.activityAnswer = (end, id) => end.refuse(id, 'Session not found for sessionId: s');
      world.key = 'second';
      tell(world, leaving);
      await settle();
      expect(world.server.count('session.resume')).toBe(2);
      client.call('session.mode.get', { sessionId: 's' });
      await world.answerLast('session.resume');
      expect(world.server.last('session.resume').params).toMatchObject({
        ...login('second').login,
        tools: [{ name: 'lookup' }],
        excludedTools: ['bash'],
      });
      expect(world.server.count('session.mode.get')).toBe(0);
      await world.answerLast('session.permissions.modifyRules');
      expect(world.server.all('session.permissions.modifyRules').map(({ params }) => params)).toEqual([rules, rules]);
      expect(world.server.count('session.mode.get')).toBe(1);
    },
  );

  it('whose turn ran when the server unloaded it ends that turn for its clients', async () => {
    const world = new KeyWorld();
    const client = await world.attached('s');
    world.server.event('s', 'assistant.turn_start');
    world.activityAnswer = (end, id) => end.refuse(id, 'Session not found for sessionId: s');
    world.key = 'second';
    world.say();
    await settle();
    expect(client.events).toEqual(['assistant.turn_start', 'session.error', 'session.idle']);
  });

  it('is told nothing while the server does not say whether it has it, and again at the next look', async () => {
    const world = new KeyWorld();
    await world.attached('s');
    const { activityAnswer } = world;
    world.activityAnswer = (end, id) => end.refuse(id, 'busy');
    world.key = 'second';
    world.say();
    await settle();
    expect(world.server.count('session.resume')).toBe(1);
    world.activityAnswer = activityAnswer;
    await world.clock.advance(READ_MS);
    expect(world.told).toEqual([keyOf('first'), keyOf('second')]);
  });

  it('is loaded after a restart with the login of then, and without what clients had said of theirs', async () => {
    const world = new KeyWorld();
    const client = await world.attached('s', OWN);
    client.call('session.options.update', { sessionId: 's', ...OWN, model: 'large' });
    await world.answerLast('session.options.update');
    expect(world.server.last('session.options.update').params).toEqual({ sessionId: 's', model: 'large' });
    world.server.events.closed(undefined);
    world.key = 'second';
    client.call('session.mode.get', { sessionId: 's' });
    await world.answerLast('session.resume');
    await settle();
    expect(world.told).toEqual([keyOf('second')]);
    expect(world.server.last('session.options.update').params).toEqual({ sessionId: 's', model: 'large' });
  });

  it('has its login read only while the server has it in memory', async () => {
    const world = new KeyWorld();
    const client = await world.attached('s');
    await world.clock.advance(3 * READ_MS);
    expect(world.reads).toBe(4);
    client.call('session.delete', { sessionId: 's' });
    await world.answerLast('session.delete');
    await world.clock.advance(READ_MS);
    const { reads } = world;
    await world.clock.advance(10 * READ_MS);
    expect(world.reads).toBe(reads);
  });

  it.each<[string, object]>([
    ['session.provider.add', { providers: [{ name: 'own', baseUrl: 'https://client' }] }],
    ['session.gitHubAuth.setCredentials', { credentials: { type: 'token', token: 'gho_own' } }],
    ['sessions.open', { kind: 'resume' }],
  ])('is not given another one by %s, unless the tenant has none', async (method, params) => {
    const world = new KeyWorld();
    const client = await world.attached('s');
    const call = (from: ClientEnd) => from.call(method, { sessionId: 's', ...params });
    const refused = client.answer(call(client))?.error;
    expect(refused).toMatchObject({ code: -32602, data: { rule: 'TenantLogin' } });
    world.fleet.change({ model: undefined });
    expect(client.answer(call(client))).toBeUndefined();
  });
});

describe('a session whose tenant goes from a provider to a GitHub token, which a server would add to the provider', () => {
  it('is closed, of which its clients hear nothing, and loaded with the token alone by their next call', async () => {
    const world = new KeyWorld();
    const client = await world.attached('s', { ...OWN, tools: [{ name: 'lookup' }] });
    await world.goesToGitHub();
    expect(world.server.last('sessions.close').params).toEqual({ sessionId: 's' });
    const id = client.call('session.send', { sessionId: 's', prompt: 'p' });
    world.server.event('s', 'session.shutdown');
    expect(world.server.count('session.send')).toBe(0);
    await world.answerLast('sessions.close');
    const { params } = world.server.last('session.resume');
    expect(params).toMatchObject({ gitHubToken: 'gho_tenant', tools: [{ name: 'lookup' }] });
    expect(params).not.toHaveProperty('provider');
    await world.answerLast('session.resume');
    await world.answerLast('session.send');
    expect(client.answer(id)?.result).toBeDefined();
    expect(client.events).toEqual([]);
    expect(world.server.count('session.resume')).toBe(2);
  });

  it.each<[string, (world: KeyWorld, client: ClientEnd) => void, (world: KeyWorld) => void]>([
    [
      'its turn runs',
      (world) => world.server.event('s', 'assistant.turn_start'),
      (world) => world.server.event('s', 'session.idle'),
    ],
    [
      'its server works on something else',
      (world) => (world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true })),
      (world) => (world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: false })),
    ],
  ])('keeps what it has while %s, also when another client attaches', async (_, begin, end) => {
    const world = new KeyWorld();
    begin(world, await world.attached('s'));
    await world.goesToGitHub();
    await world.attached('s', OWN);
    expect(world.server.last('session.resume').params).toMatchObject(login('first').login);
    expect(world.server.last('session.resume').params).not.toHaveProperty('gitHubToken');
    expect(world.server.count('sessions.close')).toBe(0);
    end(world);
    await world.clock.advance(READ_MS);
    expect(world.server.count('sessions.close')).toBe(1);
  });

  it('keeps what it has while a command of a client runs, of which servers do not say that it is work', async () => {
    const world = new KeyWorld();
    const client = await world.attached('s');
    client.call('session.commands.execute', { sessionId: 's', commandName: 'mine', args: '' });
    await world.goesToGitHub();
    expect(world.server.count('sessions.close')).toBe(0);
    await world.answerLast('session.commands.execute');
    await world.clock.advance(READ_MS);
    expect(world.server.count('sessions.close')).toBe(1);
  });

  it('is closed at the next look if the server refuses that', async () => {
    const world = new KeyWorld();
    const client = await world.attached('s');
    await world.goesToGitHub();
    world.server.refuse(world.server.last('sessions.close').id, 'busy');
    await settle();
    client.call('session.mode.get', { sessionId: 's' });
    expect(world.server.count('session.mode.get')).toBe(1);
    await world.clock.advance(READ_MS);
    expect(world.server.count('sessions.close')).toBe(2);
  });

  it('is closed where clients had brought the login before, of whatever kind', async () => {
    const world = new KeyWorld();
    world.fleet.change({ model: undefined });
    const client = await world.attached('s', OWN);
    await world.goesToGitHub();
    await world.answerLast('sessions.close');
    client.call('session.mode.get', { sessionId: 's' });
    await settle();
    expect(world.server.last('session.resume').params).toMatchObject({ gitHubToken: 'gho_tenant' });
    expect(world.server.last('session.resume').params).not.toHaveProperty('provider');
  });
});

describe('a session that the server may have in memory since before the gateway was restarted', () => {
  it('is closed before it is loaded, so that it has no login but that of now', async () => {
    const world = new KeyWorld();
    world.answers.delete('sessions.close');
    const client = world.client();
    const id = client.call('session.resume', { sessionId: 's' });
    await settle();
    expect([world.server.count('sessions.close'), world.server.count('session.resume')]).toEqual([1, 0]);
    await world.answerLast('sessions.close');
    await world.answerLast('session.resume');
    expect([client.answer(id)?.result, world.told]).toEqual([{ sessionId: 's' }, [keyOf('first')]]);
    // Another client attaches to what is loaded.
    await world.attached('s');
    expect(world.server.count('sessions.close')).toBe(1);
  });

  it('is loaded as it is where clients bring the login', async () => {
    const world = new KeyWorld();
    world.answers.delete('sessions.close');
    world.fleet.change({ model: undefined });
    await world.attached('s', OWN);
    expect(world.server.count('sessions.close')).toBe(0);
  });
});

describe('what clients had declared before their tenant had a login', () => {
  it('is told without what a newer server may take for an address', async () => {
    const world = new KeyWorld();
    world.fleet.change({ model: undefined });
    const client = await world.attached('s', { ...OWN, providerUrl: 'https://client', newer: 1 });
    const update = 'session.options.update';
    client.call(update, { sessionId: 's', apiEndpoint: 'https://client', verbosity: 'low' });
    await world.answerLast(update);
    await world.goesToGitHub();
    await world.answerLast('sessions.close');
    client.call('session.mode.get', { sessionId: 's' });
    await world.answerLast('session.resume');
    const { params } = world.server.last('session.resume');
    expect(params).toMatchObject({ gitHubToken: 'gho_tenant', newer: 1 });
    expect(JSON.stringify([params, world.server.last(update).params])).not.toContain('https://client');
    expect(world.server.last(update).params).toMatchObject({ verbosity: 'low' });
  });
});

describe('a call that takes a GitHub token', () => {
  it('gets that of the tenant', async () => {
    const world = new KeyWorld();
    world.fleet.change({ model: { read: async () => ({ login: { gitHubToken: 'gho_tenant' } }) } });
    const client = world.client();
    client.call('models.list', { gitHubToken: 'gho_own' });
    await settle();
    expect(world.server.last('models.list').params).toEqual({ gitHubToken: 'gho_tenant' });
    world.fleet.change({ model: undefined });
    client.call('models.list', { gitHubToken: 'gho_own' });
    expect(world.server.last('models.list').params).toEqual({ gitHubToken: 'gho_own' });
  });
});
