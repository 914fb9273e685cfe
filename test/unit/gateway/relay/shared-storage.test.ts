// Tenants whose servers share a volume, frame by frame: who may load a session, and where it goes on.
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatAnswer } from '../../../../src/copilot/index.ts';
import { Fence, type FencedServer } from '../../../../src/gateway/relay/fence/fence.ts';
import { answerOf } from '../../../../src/gateway/relay/server/server-answer.ts';
import { EPOCHS_METHOD, epochsOf, GUARD_ERROR, type StampedEpoch } from '../../../../src/resources/guard-protocol.ts';
import { grantKeyPem, grantSigner } from '../../../../src/resources/session-grant.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { GuardedServers } from '../../../support/guarded-servers.ts';
import { RelayWorld, type ClientEnd } from '../../../support/relay-world.ts';
import { TENANT } from '../../../support/static-fleet.ts';

const KEY = { tenant: 'uid-of-acme', session: 's' };
const SHUTDOWN = { reason: 'NotReported', isGone: false, message: 'pod p on node n may still run' } as const;

let guards: GuardedServers;
let world: RelayWorld;
let client: ClientEnd;

beforeEach(() => {
  const clock = new FakeClock();
  guards = new GuardedServers();
  world = new RelayWorld({ failoverMs: 60_000 }, { clock, shared: guards.means });
  guards.play(world, 2);
  client = world.client();
});

afterEach(() => expect(guards.violations).toEqual([]));

/** The answer to a call of the client. */
async function called(method: string, params: object = {}, by = client) {
  const id = by.call(method, params);
  await settle();
  return by.answer(id);
}

function fenceOf(): Fence {
  return new Fence({
    means: guards.means,
    tenant: TENANT,
    tenantUID: KEY.tenant,
    serverOf: () => undefined,
    clock: world.clock,
    limits: { awayMs: 10_000, callTimeoutMs: 30_000 },
    onFailure: () => undefined,
  });
}

/** A server whose guard grants everything. */
function guardedServer(key: string, podUID: string, stamps: readonly StampedEpoch[]): FencedServer {
  return {
    key,
    podUID,
    upstream: {
      opened: () => Promise.resolve(),
      isOpen: true,
      podUID,
      requestWithin: (_ms, method, _params, answered) => {
        const result = method === EPOCHS_METHOD ? { stamps } : {};
        answered(answerOf(Buffer.from(formatAnswer(1, result)), 1));
      },
    },
  };
}

const epochs = () => guards.grants.map(({ pod, intent, epoch }) => `${pod} ${intent} ${epoch}`);
const recordOf = (session: string) => guards.memory.read({ ...KEY, session });

async function isHadBy(podUID: string, session = 's'): Promise<void> {
  const place = { server: `team/acme-${podUID.at(-1)}`, podUID };
  const { record } = await guards.memory.advance(
    { ...KEY, session },
    { seen: await recordOf(session), floor: 0, place, holder: 'the home before' },
  );
  guards.stamp(session, Number(podUID.at(-1)), record?.epoch ?? 0);
  guards.disk?.add('', session);
}

function drain(index: number): Promise<void> {
  const drained = {
    server: `team/acme-${index}`,
    epoch: 1,
    podUID: `pod-of-${index}`,
    timeoutMs: 300_000,
    comesBack: false,
  };
  world.fleet.change({ drains: [drained] });
  return world.clock.advance(1000);
}

describe('a session', () => {
  it('is loaded under a grant of the server that its record names', async () => {
    expect((await called('session.create', { sessionId: 's' }))?.result).toMatchObject({ sessionId: 's' });
    expect(epochs()).toEqual(['pod-of-0 load 1']);
    const methods = world.serverAt(0).received.map(({ method }) => method);
    expect(methods.indexOf('guard.grant')).toBeLessThan(methods.indexOf('session.create'));
    expect(await recordOf('s')).toMatchObject({
      state: 'Placed',
      epoch: 1,
      place: { server: 'team/acme-0', podUID: 'pod-of-0' },
      holder: 'this-home',
    });
  });

  it('goes by load, and stays where it is loaded', async () => {
    for (const sessionId of ['s', 't']) await called('session.create', { sessionId });
    expect(['s', 't'].map((id) => guards.loadedAt(id))).toEqual([['pod-of-0'], ['pod-of-1']]);
    const other = world.client();
    await called('session.resume', { sessionId: 't' }, other);
    expect(epochs()).toEqual(['pod-of-0 load 1', 'pod-of-1 load 1']);
  });

  it('that another home left at another server is closed there before it is loaded', async () => {
    await isHadBy('pod-of-1');
    expect((await called('session.resume', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.1' });
    expect(epochs()).toEqual(['pod-of-1 close 2', 'pod-of-0 load 2']);
    expect([guards.loadedAt('s'), (await recordOf('s'))?.state]).toEqual([['pod-of-0'], 'Placed']);
  });

  it('of which the store has lost the record is closed where the volume says that it is', async () => {
    guards.stamp('s', 1, 7);
    guards.disk?.add('', 's');
    await called('session.resume', { sessionId: 's' });
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
    expect((await recordOf('s'))?.epoch).toBeGreaterThan(7);
  });

  it('is loaded, and closed elsewhere, by the key of before while guards do not know the present one', async () => {
    await isHadBy('pod-of-1');
    guards.newKeys = [grantSigner(grantKeyPem(generateKeyPairSync('ed25519')).privateKey)];
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(2000);
    expect(client.answer(id)?.result).toMatchObject({ at: '10.0.0.1' });
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
  });

  it('names to the guard no pod that is gone but the one that it asks for, however many there were', async () => {
    // None of these loads was ever settled, so the record has them all.
    for (const pod of Array.from({ length: 120 }, (_, index) => `pod-of-an-earlier-server-${index}-gone`)) {
      const place = { server: 'team/acme-1', podUID: pod };
      await guards.memory.advance(KEY, { seen: await recordOf('s'), floor: 0, place, holder: 'the home before' });
    }
    guards.disk?.add('', 's');
    expect((await called('session.resume', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.1' });
    expect(guards.grants.at(-1)?.gone).toBeUndefined();
  });

  it('has no record of a server whose connection is lost as soon as it opens', async () => {
    const lost = { opened: () => Promise.resolve(), isOpen: false, podUID: undefined, requestWithin: () => undefined };
    const fence = fenceOf();
    const admitted = fence.admit('s', { key: 'team/acme-0', podUID: 'pod-of-0', upstream: lost });
    await expect(admitted).rejects.toThrow('team/acme-0: the connection was lost');
    expect(await recordOf('s')).toBeUndefined();
  });

  it('is not loaded by a server without a guard', async () => {
    world.answers.set('guard.grant', (end, { id }) => end.refuse(id, 'Unhandled method guard.grant'));
    const made = await called('session.create', { sessionId: 's' });
    expect(made?.error).toMatchObject({ code: -32050, data: { rule: 'Fenced', retryable: true, outcome: 'NotSent' } });
    expect(world.serverAt(0).count('session.create')).toBe(0);
  });

  it('whose guard refuses it says why in the words of the guard, and what to do', async () => {
    const data = { rule: 'StorageFailed' };
    world.answers.set('guard.grant', (end, { id }) => {
      end.send(
        JSON.stringify({ jsonrpc: '2.0', id, error: { code: GUARD_ERROR, message: 'the volume is full', data } }),
      );
    });
    const made = await called('session.create', { sessionId: 's' });
    expect(made?.error?.message).toContain('refuses it (StorageFailed): the volume is full');
    expect(made?.error?.message).toContain('container guard');
  });

  it('of which somebody has forged the epoch names the directory to remove, and no number is used up', async () => {
    guards.stamp('s', 1, 2 ** 53 - 1);
    guards.disk?.add('', 's');
    const resumed = await called('session.resume', { sessionId: 's' });
    expect(resumed?.error).toMatchObject({ data: { rule: 'Fenced' } });
    expect(resumed?.error?.message).toContain(epochsOf('s'));
    expect((await recordOf('s'))?.epoch).toBe(1);
  });

  it('that nobody has is unknown in the words of a server, and leaves no record and no epoch', async () => {
    expect((await called('session.mode.get', { sessionId: 's' }))?.error?.message).toBe('Session not found: s');
    const { error } = (await called('session.resume', { sessionId: 's' })) ?? {};
    expect(error?.message).toBe('Request session.resume failed with message: Session not found: s');
    await settle();
    expect([await recordOf('s'), epochs()]).toEqual([undefined, []]);
  });

  it('of which neither store nor volume knows is resumed if the server has it', async () => {
    guards.disk?.add('', 's');
    expect((await called('session.resume', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.1' });
  });

  it('of which only the volume knows is closed where it is, before anybody says whether it exists', async () => {
    guards.stamp('s', 1, 7);
    expect((await called('session.resume', { sessionId: 's' }))?.error?.message).toContain('Session not found: s');
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
  });

  it('whose load could not be written as ended is written so when the store is back', async () => {
    guards.failing = 'settle';
    await called('session.create', { sessionId: 's' });
    await world.clock.advance(20_000);
    expect((await recordOf('s'))?.state).toBe('Moving');
    guards.failing = undefined;
    await world.clock.advance(5000);
    expect((await recordOf('s'))?.state).toBe('Placed');
  });

  it('that is deleted has no record any more, and is closed elsewhere before', async () => {
    await isHadBy('pod-of-1');
    expect((await called('session.delete', { sessionId: 's' }))?.result).toEqual({ success: true });
    expect(epochs()).toEqual(['pod-of-1 close 2', 'pod-of-0 load 2']);
    await settle();
    expect(await recordOf('s')).toBeUndefined();
  });

  it('is deleted after the load that is under way, by whose grant it is', async () => {
    await isHadBy('pod-of-0');
    const answer = world.answers.get('session.resume');
    let resume: (() => void) | undefined;
    world.answers.set('session.resume', (end, frame) => (resume = () => answer?.(end, frame)));
    client.call('session.resume', { sessionId: 's' });
    await settle();
    const id = client.call('session.delete', { sessionId: 's' });
    await settle();
    expect([epochs(), world.serverAt(0).count('session.delete')]).toEqual([['pod-of-0 load 2'], 0]);
    resume?.();
    await settle();
    expect([client.answer(id)?.result, epochs()]).toEqual([{ success: true }, ['pod-of-0 load 2']]);
  });

  it('that nobody uses is closed for good, unless the server still works on it', async () => {
    await called('session.create', { sessionId: 's' });
    world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork: true });
    client.leave();
    await world.clock.advance(120_000);
    expect([epochs(), world.serverAt(0).count('session.detach')]).toEqual([['pod-of-0 load 1'], 1]);
    expect(world.relay.sessions()).toEqual([]);
  });

  it('that nobody uses is left to its server while that does not say whether it works on it', async () => {
    await called('session.create', { sessionId: 's' });
    world.activityAnswer = () => undefined;
    client.leave();
    await world.clock.advance(200_000);
    expect([epochs(), world.serverAt(0).count('session.detach')]).toEqual([['pod-of-0 load 1'], 1]);
  });

  it('is not closed for good under a call of a client that is not attached', async () => {
    await called('session.create', { sessionId: 's' });
    const other = world.client();
    world.answers.set('session.commands.execute', () => undefined);
    other.call('session.commands.execute', { sessionId: 's', commandName: 'mine' });
    client.leave();
    await world.clock.advance(120_000);
    expect(epochs()).toEqual(['pod-of-0 load 1']);
  });

  it('that does not exist is open nowhere after it was to be deleted', async () => {
    world.answers.set('session.delete', (end, { id }) => end.answer(id, { success: false }));
    expect((await called('session.delete', { sessionId: 's' }))?.result).toEqual({ success: false });
    await settle();
    expect(epochs()).toEqual(['pod-of-0 load 1', 'pod-of-0 close 2']);
  });

  it('is closed for good with few others at once, and one that is used again meanwhile is not', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `s${index}`);
    for (const sessionId of ids) await called('session.create', { sessionId });
    const close = world.answers.get('sessions.close');
    const closing: (() => void)[] = [];
    world.answers.set('sessions.close', (end, frame) => void closing.push(() => close?.(end, frame)));
    client.leave();
    await world.clock.advance(60_000);
    // At each of the two servers.
    expect(closing).toHaveLength(2 * 16);
    await called('session.resume', { sessionId: 's39' }, world.client());
    world.answers.set('sessions.close', (end, frame) => close?.(end, frame));
    for (const answer of closing) answer();
    await settle();
    expect(guards.loadedAt('s39')).toHaveLength(1);
    expect(ids.filter((id) => guards.loadedAt(id).length > 0)).toEqual(['s39']);
  });

  it('that its server has unloaded by itself is closed for good when nobody is there', async () => {
    await called('session.create', { sessionId: 's' });
    client.leave();
    world.serverAt(0).event('s', 'session.shutdown');
    await settle();
    expect(epochs()).toEqual(['pod-of-0 load 1', 'pod-of-0 close 2']);
    expect(world.relay.sessions()).toEqual([]);
    // The next one asks for a new epoch at once.
    const other = world.client();
    guards.disk?.add('', 's');
    expect((await called('session.resume', { sessionId: 's' }, other))?.result).toBeDefined();
    expect(epochs().at(-1)).toMatch(/^pod-of-. load 3$/);
  });

  it('whose deletion fails can be used by who loads it meanwhile', async () => {
    await isHadBy('pod-of-0');
    world.answers.set('session.delete', (end, { id }) => end.refuse(id, 'the disk is full'));
    const deletion = client.call('session.delete', { sessionId: 's' });
    const resumed = await called('session.resume', { sessionId: 's' }, world.client());
    expect([client.answer(deletion)?.error?.message, resumed?.result]).toEqual([
      expect.stringContaining('the disk is full'),
      expect.objectContaining({ at: '10.0.0.1' }),
    ]);
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
  });

  it('whose deletion comes over another connection than its grant is to be deleted again, and not unknown', async () => {
    await isHadBy('pod-of-0');
    const grant = world.answers.get('guard.grant');
    world.answers.set('guard.grant', (end, frame) => {
      grant?.(end, frame);
      end.events.closed(undefined);
    });
    const id = client.call('session.delete', { sessionId: 's' });
    await settle();
    if (grant !== undefined) world.answers.set('guard.grant', grant);
    await world.clock.advance(5_000);
    expect(client.answer(id)?.error).toMatchObject({ code: -32050, data: { retryable: true } });
    expect((await called('session.delete', { sessionId: 's' }))?.result).toEqual({ success: true });
  });

  it('is listed by one server, which has all of them', async () => {
    for (const sessionId of ['s', 't']) await called('session.create', { sessionId });
    const { result } = (await called('session.list')) ?? {};
    const sessions = result?.['sessions'] as { sessionId: string }[];
    expect(sessions.map(({ sessionId }) => sessionId).toSorted()).toEqual(['s', 't']);
  });
});

describe('the operator is told', () => {
  const places = () =>
    world.relay
      .uses()
      .places.map(({ namespace, name, server, sessions }) => `${namespace}/${name} ${server} ${sessions.join()}`);

  it('which server has a session, also while it is away, and the other one when that has it', async () => {
    expect(places()).toEqual([]);
    await called('session.create', { sessionId: 's' });
    expect(places()).toEqual(['team/acme acme-0 s']);
    const end = world.serverAt(0);
    world.down.add(end.host);
    end.events.closed(undefined);
    await world.clock.advance(2000);
    expect(places()).toEqual(['team/acme acme-0 s']);
    guards.kill(0, world);
    await world.clock.advance(2000);
    // It is loaded there with the next call.
    expect(places()).toEqual(['team/acme acme-1 s']);
    await called('session.mode.get', { sessionId: 's' });
    expect([guards.loadedAt('s'), places()]).toEqual([['pod-of-1'], ['team/acme acme-1 s']]);
  });

  it('of no server when the session was deleted', async () => {
    await called('session.create', { sessionId: 's' });
    await called('session.delete', { sessionId: 's' });
    expect(places()).toEqual([]);
  });
});

describe('a server that is drained for good', () => {
  it('hands an idle session over: its client notices nothing', async () => {
    await called('session.create', { sessionId: 's' });
    await drain(0);
    expect(epochs()).toEqual(['pod-of-0 load 1', 'pod-of-0 close 2']);
    expect((await called('session.mode.get', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.2' });
    await called('session.send', { sessionId: 's', prompt: 'one' });
    world.serverAt(1).event('s', 'assistant.turn_start');
    expect([guards.loadedAt('s'), client.events, client.cuts]).toEqual([['pod-of-1'], ['assistant.turn_start'], []]);
    expect((await recordOf('s'))?.place.podUID).toBe('pod-of-1');
  });

  it('lets the turn end first, and what is sent meanwhile runs at the other', async () => {
    await called('session.create', { sessionId: 's' });
    await called('session.send', { sessionId: 's', prompt: 'one' });
    world.serverAt(0).event('s', 'assistant.turn_start');
    await drain(0);
    const second = client.call('session.send', { sessionId: 's', prompt: 'two' });
    await world.clock.advance(1000);
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
    world.serverAt(0).event('s', 'session.idle');
    await world.clock.advance(2000);
    expect(client.answer(second)?.result).toMatchObject({ at: '10.0.0.2' });
  });

  it('has its sessions wait while no other one serves', async () => {
    await called('session.create', { sessionId: 's' });
    guards.kill(1, world);
    await drain(0);
    const id = client.call('session.mode.get', { sessionId: 's' });
    await world.clock.advance(5000);
    expect(client.answer(id)).toBeUndefined();
    guards.serve(world, 2);
    guards.kill(0, world);
    await world.clock.advance(1000);
    expect([client.answer(id)?.result, client.events]).toEqual([expect.objectContaining({ at: '10.0.0.2' }), []]);
  });

  it('hands sessions over although the store is away, which are loaded when it is back', async () => {
    await called('session.create', { sessionId: 's' });
    guards.isStoreAway = true;
    await drain(0);
    const refused = await called('session.mode.get', { sessionId: 's' });
    expect(refused?.error).toMatchObject({ code: -32050, data: { rule: 'CoordinationAway', retryable: true } });
    guards.isStoreAway = false;
    guards.kill(0, world);
    expect((await called('session.mode.get', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.2' });
  });
});

describe('a server that is lost', () => {
  const lose = (): void => {
    const end = world.serverAt(0);
    world.down.add(end.host);
    end.events.closed(undefined);
  };

  it('leaves its sessions to the other one as soon as its pod is gone, and their turns go on', async () => {
    await called('session.create', { sessionId: 's' });
    await called('session.send', { sessionId: 's', prompt: 'one' });
    guards.journals.set('s', [world.serverAt(0).event('s', 'user.message', { content: 'one', messageId: 'of one' })]);
    lose();
    await world.clock.advance(2000);
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
    guards.kill(0, world);
    await world.clock.advance(1000);
    expect(guards.loadedAt('s')).toEqual(['pod-of-1']);
    expect(guards.grants.at(-1)).toMatchObject({ pod: 'pod-of-1', intent: 'load', gone: ['pod-of-0'] });
    expect(world.serverAt(1).last('session.resume').params).toMatchObject({ continuePendingWork: true });
    expect(world.serverAt(1).count('session.sendMessages')).toBe(1);
    world.serverAt(1).event('s', 'session.idle');
    expect([client.events.at(-1), client.cuts]).toEqual(['session.idle', []]);
  });

  it('has what waits for it go on at the other one: calls, attaches, and prompts behind a turn', async () => {
    world.fleet.change({ limits: { maxConcurrentTurns: 1 } });
    for (const sessionId of ['s', 't', 'u']) await called('session.create', { sessionId });
    expect(guards.loadedAt('u')).toEqual(['pod-of-0']);
    await called('session.send', { sessionId: 's', prompt: 'one' });
    guards.journals.set('s', [world.serverAt(0).event('s', 'user.message', { content: 'one', messageId: 'of one' })]);
    const behind = client.call('session.send', { sessionId: 'u', prompt: 'two' });
    await settle();
    expect(client.answer(behind)).toBeUndefined();
    lose();
    const other = world.client();
    const mode = client.call('session.mode.get', { sessionId: 's' });
    const attach = other.call('session.resume', { sessionId: 'u' });
    await world.clock.advance(2000);
    guards.kill(0, world);
    await world.clock.advance(2000);
    expect(client.answer(mode)?.result).toMatchObject({ at: '10.0.0.2' });
    expect(other.answer(attach)?.result).toMatchObject({ at: '10.0.0.2' });
    // The turn of the other session goes on there, and is before it.
    expect(client.answer(behind)).toBeUndefined();
    world.serverAt(1).event('s', 'session.idle');
    await world.clock.advance(1000);
    expect(client.answer(behind)?.result).toMatchObject({ at: '10.0.0.2' });
    expect(
      ['s', 'u'].map(
        (id) =>
          world
            .serverAt(1)
            .all('session.sendMessages')
            .filter(({ params }) => params?.['sessionId'] === id).length,
      ),
    ).toEqual([1, 0]);
    other.leave();
    client.leave();
    await world.clock.advance(120_000);
    expect(world.relay.sessions()).toEqual([]);
  });

  it('keeps its sessions as long as its pod may run: calls are told which pod and node, and what to do', async () => {
    await called('session.create', { sessionId: 's' });
    guards.fates.set('pod-of-0', SHUTDOWN);
    lose();
    await world.clock.advance(11_000);
    const refused = await called('session.mode.get', { sessionId: 's' });
    expect(refused?.error).toMatchObject({ code: -32050, data: { rule: 'Fenced', retryable: true } });
    expect(refused?.error?.message).toContain('pod p on node n');
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
    expect(await world.counted('refused_calls_total')).toEqual({ Fenced: 1 });
    guards.fates.delete('pod-of-0');
    guards.kill(0, world);
    await settle();
    expect((await called('session.mode.get', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.2' });
  });

  it('has sessions that their clients can leave, so that nothing of them is asked of who has left', async () => {
    await called('session.create', { sessionId: 's' });
    lose();
    guards.fates.set('pod-of-0', SHUTDOWN);
    await world.clock.advance(11_000);
    expect((await called('session.mode.get', { sessionId: 's' }))?.error).toMatchObject({ data: { rule: 'Fenced' } });
    expect((await called('session.detach', { sessionId: 's' }))?.result).toEqual({ success: true });
    expect(world.relay.sessions()).toMatchObject([{ id: 's', clients: [] }]);
  });

  it('gets no prompt of a client that has left while it waited', async () => {
    await called('session.create', { sessionId: 's' });
    const other = world.client();
    expect((await called('session.resume', { sessionId: 's' }, other))?.result).toBeDefined();
    lose();
    const [sent, mode] = [
      client.call('session.send', { sessionId: 's', prompt: 'one' }),
      other.call('session.mode.get', { sessionId: 's' }),
    ];
    await world.clock.advance(1000);
    expect((await called('session.detach', { sessionId: 's' }))?.result).toEqual({ success: true });
    guards.kill(0, world);
    await world.clock.advance(1000);
    expect(client.answer(sent)?.error).toMatchObject({ data: { retryable: false, outcome: 'NotSent' } });
    expect(other.answer(mode)?.result).toMatchObject({ at: '10.0.0.2' });
    expect(world.serverAt(1).count('session.send')).toBe(0);
  });

  it('and comes back has its sessions again', async () => {
    await called('session.create', { sessionId: 's' });
    lose();
    await world.clock.advance(11_000);
    world.down.clear();
    await world.clock.advance(1000);
    expect((await called('session.mode.get', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.1' });
  });

  it('is waited for, and then refused, where a record says that it has a session which nobody uses', async () => {
    await isHadBy('pod-of-1');
    world.down.add('10.0.0.2');
    guards.fates.set('pod-of-1', SHUTDOWN);
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(5000);
    expect(client.answer(id)).toBeUndefined();
    await world.clock.advance(20_000);
    expect(client.answer(id)?.error).toMatchObject({ data: { rule: 'Fenced' } });
    expect(world.serverAt(0).count('session.resume')).toBe(0);
  });

  it('is waited for by all that want the session at the same time, and not by one after the other', async () => {
    await isHadBy('pod-of-1');
    world.down.add('10.0.0.2');
    guards.fates.set('pod-of-1', SHUTDOWN);
    const clients = Array.from({ length: 10 }, () => world.client());
    const ids = clients.map((each) => each.call('session.resume', { sessionId: 's' }));
    await world.clock.advance(12_000);
    for (const [index, each] of clients.entries())
      expect(each.answer(ids[index] ?? 0)?.error).toMatchObject({ data: { rule: 'Fenced' } });
  });

  it('is not waited for any longer than one that is away, if it does not answer', async () => {
    await isHadBy('pod-of-1');
    world.answers.set('sessions.close', () => undefined);
    guards.fates.set('pod-of-1', SHUTDOWN);
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(12_000);
    expect(client.answer(id)?.error).toMatchObject({ data: { rule: 'Fenced' } });
  });

  it('is not waited for where the volume says that it has closed the session, whatever the record says', async () => {
    await called('session.create', { sessionId: 's' });
    guards.disk?.add('', 's');
    client.leave();
    await world.clock.advance(120_000);
    expect(epochs()).toEqual(['pod-of-0 load 1', 'pod-of-0 close 2']);
    expect(guards.loadedAt('s')).toEqual([]);
    guards.fates.set('pod-of-0', SHUTDOWN);
    lose();
    // Another gateway has nothing but the record.
    const stamps = [{ server: 'team/acme-0', pod: 'pod-of-0', epoch: 1, closedUnder: 2 }];
    await fenceOf().admit('s', guardedServer('team/acme-1', 'pod-of-1', stamps));
    expect((await recordOf('s'))?.leaving).toEqual([]);
    // This one knows that it has closed it.
    const { servers = [] } = world.fleet.find(TENANT) ?? {};
    world.fleet.change({ servers: servers.filter(({ podUID }) => podUID !== 'pod-of-0') });
    const other = world.client();
    expect((await called('session.resume', { sessionId: 's' }, other))?.result).toMatchObject({ at: '10.0.0.2' });
  });

  it('is waited for where the volume does not say so, although it names nobody', async () => {
    const place = { server: 'team/acme-1', podUID: 'pod-of-1' };
    await guards.memory.advance(KEY, { seen: undefined, floor: 0, place, holder: 'the home before' });
    world.down.add('10.0.0.2');
    guards.fates.set('pod-of-1', SHUTDOWN);
    guards.disk?.add('', 's');
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(12_000);
    expect(client.answer(id)?.error).toMatchObject({ data: { rule: 'Fenced' } });
    expect(world.serverAt(0).count('session.resume')).toBe(0);
  });

  it('is not waited for where another has taken the session since, and that was never written', async () => {
    guards.play(world, 3);
    const at = (index: number) => ({ server: `team/acme-${index}`, podUID: `pod-of-${index}` });
    const before = { floor: 0, place: at(2), holder: 'the home before' };
    const { record: seen } = await guards.memory.advance(KEY, { seen: undefined, ...before });
    await guards.memory.advance(KEY, { ...before, seen, place: at(1) });
    guards.stamp('s', 1, 2);
    guards.disk?.add('', 's');
    world.down.add('10.0.0.3');
    guards.fates.set('pod-of-2', SHUTDOWN);
    expect((await called('session.resume', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.1' });
    expect(guards.loadedAt('s')).toEqual(['pod-of-0']);
  });

  it('is not waited for where the session was to go, and nobody has asked for it yet', async () => {
    await isHadBy('pod-of-0');
    const fence = fenceOf();
    const none = guardedServer('team/acme-1', 'pod-of-1', []);
    guards.fates.set('pod-of-0', { ...SHUTDOWN, isGone: true });
    guards.fates.set('pod-of-1', SHUTDOWN);
    await fence.prepare('s', none);
    await fence.admit('s', guardedServer('team/acme-2', 'pod-of-2', []));
    expect(await recordOf('s')).toMatchObject({ state: 'Placed', place: { podUID: 'pod-of-2' } });
  });

  it('leaves nothing of a session behind that it was not given before it was lost', async () => {
    guards.play(world, 3);
    await isHadBy('pod-of-1');
    world.down.add('10.0.0.2');
    guards.fates.set('pod-of-1', SHUTDOWN);
    const id = client.call('session.resume', { sessionId: 's' });
    await world.clock.advance(1000);
    guards.kill(0, world);
    await world.clock.advance(30_000);
    expect(client.answer(id)?.error).toMatchObject({ data: { rule: 'Fenced' } });
    client.leave();
    await world.clock.advance(700_000);
    expect(world.relay.sessions()).toEqual([]);
  });

  it('of a tenant with one server is waited for', async () => {
    guards.play(world, 1);
    await called('session.create', { sessionId: 's' });
    guards.kill(0, world);
    const id = client.call('session.mode.get', { sessionId: 's' });
    await settle();
    guards.play(world, 1);
    await world.clock.advance(1000);
    expect(client.answer(id)?.result).toMatchObject({ at: '10.0.0.1' });
  });
});

describe('while the store is away', () => {
  it('sessions go on, and new ones are refused until it is back', async () => {
    await called('session.create', { sessionId: 's' });
    await settle();
    guards.isStoreAway = true;
    expect((await called('session.mode.get', { sessionId: 's' }))?.result).toBeDefined();
    const refused = await called('session.create', { sessionId: 't' });
    expect(refused?.error).toMatchObject({ code: -32050, data: { rule: 'CoordinationAway', retryable: true } });
    expect(refused?.error?.message).toContain('the coordination store cannot be used (Unreachable)');
    // Where it is and what is wrong with it is for the log.
    expect(refused?.error?.message).not.toContain('redis-0');
    guards.isStoreAway = false;
    expect((await called('session.create', { sessionId: 't' }))?.result).toBeDefined();
  });

  it('a session that its server has unloaded is loaded there again', async () => {
    await called('session.create', { sessionId: 's' });
    await settle();
    guards.isStoreAway = true;
    let misses = 1;
    const { answers } = world;
    const answer = answers.get('session.mode.get');
    answers.set('session.mode.get', (end, frame) => {
      if (misses-- > 0) end.refuse(frame.id, 'Session not found: s');
      else answer?.(end, frame);
    });
    expect((await called('session.mode.get', { sessionId: 's' }))?.result).toMatchObject({ at: '10.0.0.1' });
  });

  it('a turn that was cut goes on by itself when it is back', async () => {
    await called('session.create', { sessionId: 's' });
    await called('session.send', { sessionId: 's', prompt: 'one' });
    guards.journals.set('s', [world.serverAt(0).event('s', 'user.message', { content: 'one', messageId: 'of one' })]);
    guards.isStoreAway = true;
    guards.kill(0, world);
    await world.clock.advance(20_000);
    expect(client.events).not.toContain('session.error');
    guards.isStoreAway = false;
    await world.clock.advance(10_000);
    expect(guards.loadedAt('s')).toEqual(['pod-of-1']);
    expect(world.serverAt(1).count('session.sendMessages')).toBe(1);
  });
});

it('without a coordination store nothing of such a tenant is loaded', async () => {
  const bare = new RelayWorld();
  bare.fleet.change({ topology: 'SharedStorage' });
  bare.answers.set('sessions.getMetadata', (end, { id }) => end.answer(id, {}));
  const other = bare.client();
  const id = other.call('session.create', { sessionId: 's' });
  await settle();
  expect(other.answer(id)?.error).toMatchObject({ data: { rule: 'Fenced' } });
  expect(bare.server.count('session.create')).toBe(0);
});

describe('where users are kept apart', () => {
  beforeEach(() => {
    world.fleet.change({ isolation: 'Shared' });
    world.answers.set('session.options.update', (end, { id }) => end.answer(id, { success: true }));
  });

  it('a session goes on at another server, and is still its user’s alone', async () => {
    const [alice, bob] = [world.client(TENANT, 'alice'), world.client(TENANT, 'bob')];
    expect((await called('session.create', { sessionId: 's' }, alice))?.result).toBeDefined();
    await drain(0);
    expect((await called('session.resume', { sessionId: 's' }, alice))?.result).toMatchObject({ at: '10.0.0.2' });
    expect((await called('session.resume', { sessionId: 's' }, bob))?.error?.message).toContain('Session not found');
    expect(guards.loadedAt('s')).toEqual(['pod-of-1']);
  });
});
