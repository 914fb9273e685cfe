// A turn that goes on after a loss, and that the server drops without a word.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { settle } from '../../../support/fake-clock.ts';
import { RelayWorld, journalEvent, type ClientEnd, type JournalEvent } from '../../../support/relay-world.ts';

const QUIET_MS = 3000;
/** In which a turn that is dropped is found. */
const FOUND_MS = 3 * QUIET_MS;

let world: RelayWorld;
let client: ClientEnd;
let begun: JournalEvent;
const answer = journalEvent('assistant.message', { toolRequests: [] });
const says = (hasActiveWork: boolean) => {
  world.activityAnswer = (end, id) => end.answer(id, { hasActiveWork });
};

/** Loads of the session at this server. */
const loads = () => world.server.count('session.resume');

async function resumed(): Promise<void> {
  world.server.answer(world.server.last('session.resume').id, { sessionId: 's' });
  await settle();
}

beforeEach(async () => {
  world = new RelayWorld();
  client = await world.attached('s');
  client.call('session.send', { sessionId: 's', prompt: 'p' });
  world.server.answer(world.server.last('session.send').id, { messageId: 'm' });
  begun = world.server.event('s', 'user.message', { messageId: 'm', content: 'p' });
  for (const method of ['session.permissions.pendingRequests', 'session.tools.listPendingRequests'])
    world.answers.set(method, (end, { id }) => end.answer(id, { items: [] }));
  world.answers.set('session.sendMessages', (end, { id }) => end.answer(id, { messageIds: [] }));
  // The next server says that the turn runs on by itself.
  world.journal = [begun];
  says(true);
  world.server.events.closed(undefined);
  await settle();
  await resumed();
});

describe('a turn that a server goes on with', () => {
  it('is left alone as long as the server works on it, however long it says nothing', async () => {
    await world.clock.advance(FOUND_MS * 10);
    expect([loads(), world.server.count('session.sendMessages')]).toEqual([1, 0]);
    expect(client.events).toEqual(['user.message']);
  });

  it('is left alone while events come, and while it waits for clients, whatever the server says', async () => {
    says(false);
    for (let looks = 0; looks < 10; looks += 1) {
      await world.clock.advance(QUIET_MS);
      world.server.event('s', 'assistant.message_delta');
    }
    world.server.event('s', 'permission.requested', { requestId: 'p' });
    await world.clock.advance(FOUND_MS * 10);
    expect(loads()).toBe(1);
  });

  it('and then drops is finished by what the journal has', async () => {
    says(false);
    world.journal = [begun, answer];
    await world.clock.advance(FOUND_MS - 1);
    expect(loads()).toBe(1);
    await world.clock.advance(1);
    await resumed();
    expect(client.events).toEqual(['user.message', 'assistant.message', 'session.idle']);
    expect(world.relay.sessions()).toMatchObject([{ state: 'Idle' }]);
    await world.clock.advance(FOUND_MS * 10);
    expect(loads()).toBe(2);
  });

  it('and then drops is not loaded again while a command of a client runs, behind which a resume would wait', async () => {
    says(false);
    client.call('session.commands.execute', { sessionId: 's', commandName: 'mine', args: '' });
    await world.clock.advance(FOUND_MS * 2);
    expect(loads()).toBe(1);
    world.server.answer(world.server.last('session.commands.execute').id, {});
    await world.clock.advance(FOUND_MS);
    expect(loads()).toBe(2);
  });

  it('and then drops is begun again, if the journal has no answer', async () => {
    says(false);
    await world.clock.advance(FOUND_MS);
    await resumed();
    expect(world.server.count('session.sendMessages')).toBe(1);
    world.server.event('s', 'session.idle');
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  describe('and that waits for the result of a tool which its journal lacks', () => {
    const requested = journalEvent('external_tool.requested', { requestId: 'r', toolCallId: 'c' });
    const completed = journalEvent('external_tool.completed', { requestId: 'r' });

    beforeEach(() => {
      world.journal = [begun, requested, completed];
    });

    it('is found, and the server loads it without what was pending', async () => {
      await world.clock.advance(FOUND_MS);
      expect(loads()).toBe(2);
      await resumed();
      world.server.answer(world.server.last('sessions.close').id, {});
      await settle();
      expect(world.server.last('session.resume').params).toMatchObject({ continuePendingWork: false });
      says(false);
      await resumed();
      expect(world.server.count('session.sendMessages')).toBe(1);
      world.server.event('s', 'session.idle');
      expect(client.events.at(-1)).toBe('session.idle');
    });

    it('is left alone when the journal has the result', async () => {
      world.journal = [begun, requested, completed, journalEvent('tool.execution_complete', { toolCallId: 'c' })];
      await world.clock.advance(FOUND_MS * 10);
      expect(loads()).toBe(1);
    });

    it('is left alone while the server asks its clients something else', async () => {
      world.answers.set('session.permissions.pendingRequests', (end, { id }) =>
        end.answer(id, { items: [{ requestId: 'p' }] }),
      );
      await world.clock.advance(FOUND_MS * 10);
      expect(loads()).toBe(1);
    });

    it('has its journal read once, as long as no event comes', async () => {
      world.journal = [begun];
      await world.clock.advance(FOUND_MS * 10);
      // Twice for the load before.
      expect(world.server.count('session.eventLog.read')).toBe(3);
    });
  });

  it('goes on also where the server does not have its session any more', async () => {
    world.activityAnswer = (end, id) => end.refuse(id, 'Session not found: s');
    await world.clock.advance(FOUND_MS);
    says(false);
    await resumed();
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('and then drops is over, if its client has aborted it', async () => {
    says(false);
    client.call('session.abort', { sessionId: 's' });
    world.server.answer(world.server.last('session.abort').id, {});
    await world.clock.advance(FOUND_MS);
    await resumed();
    expect(world.server.count('session.sendMessages')).toBe(0);
    expect(client.events).toEqual(['user.message', 'session.idle']);
  });

  it('and then drops is begun again beside a client that has attached meanwhile', async () => {
    world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
    await world.clock.advance(QUIET_MS);
    world.client().call('session.resume', { sessionId: 's' });
    await settle();
    says(false);
    await world.clock.advance(FOUND_MS + QUIET_MS);
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('and then drops is begun again also if a client attaches in that moment', async () => {
    says(false);
    await world.clock.advance(FOUND_MS - 1);
    world.activityAnswer = (end, id) => {
      world.client().call('session.resume', { sessionId: 's' });
      end.answer(id, { hasActiveWork: false });
    };
    await world.clock.advance(1);
    says(false);
    world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
    await resumed();
    await world.clock.advance(FOUND_MS);
    expect(world.server.count('session.sendMessages')).toBe(1);
  });

  it('is recovered three times again when it was another turn', async () => {
    world.answers.set('session.resume', (end, { id }) => end.answer(id, { sessionId: 's' }));
    for (let count = 0; count < 4; count += 1) {
      client.call('session.send', { sessionId: 's', prompt: `p${count}` });
      world.server.answer(world.server.last('session.send').id, { messageId: `m${count}` });
      begun = world.server.event('s', 'user.message', { messageId: `m${count}`, content: `p${count}` });
      says(true);
      world.journal = [begun];
      world.server.events.closed(undefined);
      await settle(10);
      says(false);
      world.journal = [begun, journalEvent('assistant.message', { toolRequests: [] })];
      await world.clock.advance(FOUND_MS);
      expect(client.events.at(-1)).toBe('session.idle');
    }
    expect(client.events.filter((type) => type === 'session.idle')).toHaveLength(4);
  });

  it('is recovered no more than three times', async () => {
    says(false);
    for (let count = 0; count < 3; count += 1) {
      await world.clock.advance(FOUND_MS);
      await resumed();
    }
    expect(world.server.count('session.sendMessages')).toBe(3);
    await world.clock.advance(FOUND_MS * 10);
    expect(loads()).toBe(4);
  });

  it('is told to its clients when it cannot be recovered', async () => {
    says(false);
    await world.clock.advance(FOUND_MS);
    world.server.refuse(world.server.last('session.resume').id, 'damaged');
    await world.clock.advance(FOUND_MS);
    expect(client.events).toEqual(['user.message', 'session.error', 'session.idle']);
  });

  it('of which the end comes behind the word that nothing is done is over', async () => {
    says(false);
    await world.clock.advance(FOUND_MS - 1);
    world.activityAnswer = (end, id) => {
      end.answer(id, { hasActiveWork: false });
      end.event('s', 'session.idle');
    };
    await world.clock.advance(FOUND_MS);
    expect(client.events).toEqual(['user.message', 'session.idle']);
    expect(loads()).toBe(1);
  });
});
