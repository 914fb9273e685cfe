import { describe, expect, it } from '@jest/globals';
import { waitOf } from '../../../../src/gateway/relay/journal/events.ts';
import type { Declaration, SessionClient } from '../../../../src/gateway/relay/model.ts';
import { EVENT_LINES } from '../../../../src/gateway/relay/questions/events.ts';
import { Waits } from '../../../../src/gateway/relay/asking/waits.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const DEADLINE_MS = 1000;
const ALONE_MS = 100;

/** A client, and the types of the events that it was offered. */
class OfferedClient implements SessionClient {
  readonly id = 1;
  readonly user: string | undefined;
  readonly isEnded = false;
  readonly offered: (string | undefined)[] = [];

  constructor(user?: string) {
    this.user = user;
  }

  deliver(_body: unknown, type?: string): void {
    this.offered.push(type);
  }

  deliverPieces(): void {
    // No pieces of an event are sent here.
  }

  ask(): () => void {
    throw new Error('nobody is asked by a request here');
  }
}

class World {
  readonly clock = new FakeClock();
  readonly attached = new Map<SessionClient, Declaration>();
  readonly interests = new Set<string>();
  /** What was answered in place of clients: the methods. */
  readonly denied: string[] = [];
  /** Requests that were answered by their events, and that were given up. */
  readonly closed: unknown[] = [];
  readonly givenUp: unknown[] = [];
  /** Whose turn asks. */
  turnUser: string | undefined;
  readonly waits = new Waits({
    limit: 100,
    maxBytes: 10_000,
    mayKeep: () => true,
    isExpected: () => true,
    onNobody: () => undefined,
    observer: { unattended: () => undefined },
    attached: () => this.attached,
    hasInterest: (type) => this.interests.has(type),
    setDeadline: (fn) => this.clock.setTimer(DEADLINE_MS, fn),
    setAlone: (fn) => this.clock.setTimer(ALONE_MS, fn),
    turnUser: () => this.turnUser,
    deny: (_, { denial }) => void this.denied.push(denial.method),
    twins: { close: (id) => void this.closed.push(id), deny: (id) => void this.givenUp.push(id) },
  });

  ask(type: string, data: Record<string, unknown> = {}, requestId = 'r'): void {
    this.waits.take(type, { requestId, ...data }, Buffer.from('{}'));
  }

  attach(declaration: Declaration = {}, user?: string): OfferedClient {
    const client = new OfferedClient(user);
    this.attached.set(client, declaration);
    this.waits.offer(client, declaration);
    return client;
  }

  async late(): Promise<void> {
    await this.clock.advance(DEADLINE_MS);
  }
}

/** The lines of all clients, each with what a client declares that answers. */
/** One of an agent. */
const OF_AGENT = { elicitationSource: 'mcp' };
const lines = EVENT_LINES.filter(([, , audience]) => audience === 'All').map(
  ([type, completed, , by, , , [method]]) => [type, completed, by, method] as const,
);

describe.each(lines)('%s', (type, completed, by, method) => {
  const declaration = by === 'Interest' ? {} : { [by]: true };
  function world(): World {
    const made = new World();
    if (by === 'Interest') made.interests.add(type);
    return made;
  }

  it('is held while nobody is there, offered to whoever comes, and then waits without end', async () => {
    const at = world();
    at.ask(type, OF_AGENT);
    const client = at.attach(declaration);
    expect(client.offered).toEqual([type]);
    await at.late();
    expect(at.denied).toEqual([]);
    expect(at.attach(declaration).offered).toEqual([type]);
  });

  it('is offered to nobody once it is completed', () => {
    const at = world();
    at.ask(type, OF_AGENT);
    at.ask(completed);
    expect(at.attach(declaration).offered).toEqual([]);
    expect(at.waits.size).toBe(0);
  });

  it('is answered at the deadline when nobody has come', async () => {
    const at = world();
    at.ask(type, OF_AGENT);
    await at.late();
    expect(at.denied).toEqual([method]);
    expect(at.waits.size).toBe(0);
  });

  it('is answered at the deadline when only somebody is there who has not said that it answers', async () => {
    const at = new World();
    at.ask(type, OF_AGENT);
    expect(at.attach().offered).toEqual([type]);
    await at.late();
    expect(at.denied).toEqual([method]);
  });

  it('waits for a client that watches all prompts', async () => {
    const at = new World();
    at.attach({ observePromptEvents: true });
    at.ask(type, OF_AGENT);
    await at.late();
    expect(at.denied).toEqual([]);
  });
});

describe('a command that its client has answered, and left before the server says so', () => {
  const commands = [{ name: 'mine' }];

  function answering(): { world: World; other: OfferedClient; leave: () => void } {
    const world = new World();
    const other = world.attach({ commands });
    const client = world.attach({ commands });
    world.ask('command.execute', { commandName: 'mine' });
    world.waits.giving('r');
    return {
      world,
      other,
      leave: () => {
        world.attached.delete(client);
        world.waits.leave(client);
      },
    };
  }

  it('is run by nobody else', async () => {
    const { world, other, leave } = answering();
    leave();
    await world.late();
    world.waits.take('command.completed', { requestId: 'r' }, Buffer.alloc(0));
    expect([other.offered, world.denied, world.waits.size]).toEqual([[], [], 0]);
  });

  it('is run by another one if the server has not taken the answer', () => {
    const { world, other, leave } = answering();
    leave();
    world.waits.notTaken('r');
    expect(other.offered).toEqual(['command.execute']);
  });

  it('is run by another one if the server was lost with the answer, and asks it still', () => {
    const { world, other, leave } = answering();
    leave();
    world.waits.resume(() => true);
    expect(other.offered).toEqual(['command.execute']);
  });
});

describe.each([
  ['a command of a client', 'command.execute', { commandName: 'mine' }, { commands: [{ name: 'mine' }] }],
  ['an elicitation that a client has asked for', 'elicitation.requested', {}, { requestElicitation: true }],
])('%s, for which its call waits', (_, type, data, answers) => {
  it('ends at once if nobody is attached who answers it: the server takes no further client meanwhile', () => {
    for (const others of [[], [{}]]) {
      const at = new World();
      for (const declaration of others) at.attach(declaration);
      at.ask(type, data);
      expect(at.denied).toHaveLength(1);
      expect(at.waits.size).toBe(0);
    }
  });

  it('ends when the last one leaves who answers it', () => {
    const at = new World();
    at.attach();
    const clients = [at.attach(answers), at.attach(answers)];
    at.ask(type, data);
    const denied = clients.map((client) => {
      at.attached.delete(client);
      at.waits.leave(client);
      return at.denied.length;
    });
    expect(denied).toEqual([0, 1]);
  });
});

it('what was said after a deadline began counts when it ends', async () => {
  const at = new World();
  at.attach();
  at.ask('sampling.requested');
  at.interests.add('sampling.requested');
  await at.late();
  expect(at.denied).toEqual([]);
});

describe('what a person decides in the turn of a user', () => {
  const answers = { requestPermission: true };

  /** Who has the question. */
  function asked(at: World, clients: readonly OfferedClient[]): boolean[] {
    return clients.map((client) => client.offered.length > 0 || at.waits.isFor('r', client));
  }

  function world(): { at: World; alice: OfferedClient; bob: OfferedClient; late: OfferedClient } {
    const at = new World();
    at.turnUser = 'alice';
    const [alice, bob] = [at.attach(answers, 'alice'), at.attach(answers, 'bob')];
    at.ask('permission.requested');
    return { at, alice, bob, late: at.attach(answers, 'carol') };
  }

  it('is for that user alone, and then for whoever is attached', async () => {
    const { at, alice, bob, late } = world();
    expect(asked(at, [alice, bob, late])).toEqual([true, false, false]);
    expect(at.waits.offeredTo(bob)).toEqual([]);
    expect(at.attach({}, 'alice').offered).toEqual(['permission.requested']);
    await at.clock.advance(ALONE_MS);
    expect([bob.offered, late.offered]).toEqual([['permission.requested'], ['permission.requested']]);
    // It has it already: the server's own event was for it.
    expect(alice.offered).toEqual([]);
    expect(at.waits.offeredTo(bob)).toEqual(['r']);
  });

  it('is for the others at once when the last client of the user is gone that answers', () => {
    const { at, alice, bob } = world();
    at.attach({}, 'alice');
    at.attached.delete(alice);
    at.waits.leave(alice);
    expect(bob.offered).toEqual(['permission.requested']);
  });

  it('stays with the user while another of its clients answers', () => {
    const { at, alice, bob } = world();
    at.attach(answers, 'alice');
    at.attached.delete(alice);
    at.waits.leave(alice);
    expect(bob.offered).toEqual([]);
  });

  it('is offered to nobody after the user has answered', async () => {
    const { at, bob } = world();
    at.ask('permission.completed');
    await at.clock.advance(ALONE_MS);
    expect(bob.offered).toEqual([]);
    expect(at.waits.isFor('r', bob)).toBe(true);
  });

  it('is for all at once when no client of the user answers, or it is not known whose turn it is', () => {
    const at = new World();
    const bob = at.attach(answers, 'bob');
    at.attach({}, 'alice');
    at.turnUser = 'alice';
    at.ask('permission.requested');
    expect(at.waits.isFor('r', bob)).toBe(true);
    const { at: other, bob: second } = world();
    other.turnUser = undefined;
    other.ask('permission.requested');
    expect(other.waits.isFor('r', second)).toBe(true);
  });

  it('is no question that is for a program', () => {
    const at = new World();
    at.turnUser = 'alice';
    at.attach({ observePromptEvents: true }, 'alice');
    const bob = at.attach({ observePromptEvents: true }, 'bob');
    at.ask('sampling.requested');
    expect(at.waits.isFor('r', bob)).toBe(true);
  });
});

describe('a turn that is aborted', () => {
  const turns = EVENT_LINES.filter(([, , , , lifetime]) => lifetime === 'Turn').map(([type]) => type);

  it.each(turns)('takes %s with it, of which the server says nothing', (type) => {
    const at = new World();
    at.ask(type, { elicitationSource: 'an MCP server' });
    at.waits.aborted();
    expect(at.waits.size).toBe(1);
    at.waits.turnEnded();
    expect(at.waits.size).toBe(0);
    expect(at.attach().offered).toEqual([]);
  });

  it('leaves what the server tells the end of, and what is no part of it', () => {
    const at = new World();
    at.attach({ commands: [{ name: 'mine' }], requestElicitation: true });
    const left = ['permission.requested', 'command.execute', 'elicitation.requested'];
    for (const type of left) at.ask(type, { commandName: 'mine' }, type);
    at.waits.aborted();
    at.waits.turnEnded();
    expect(at.waits.size).toBe(left.length);
  });

  it('takes nothing of the next one with it', () => {
    const at = new World();
    at.waits.aborted();
    at.ask('user_input.requested');
    at.waits.turnEnded();
    expect(at.waits.size).toBe(1);
  });
});

it('a server that is lost has forgotten all but what is in its journal', () => {
  const at = new World();
  for (const [type] of EVENT_LINES) at.ask(type, {}, type);
  at.waits.suspend();
  const client = at.attach({ tools: [{ name: '' }] });
  expect(new Set(client.offered)).toEqual(new Set(['external_tool.requested', 'permission.requested']));
});

it('a login at an MCP server keeps nobody waiting', () => {
  const at = new World();
  at.ask('mcp.oauth_required');
  expect(at.waits.size).toBe(0);
  expect(at.attach().offered).toEqual(['mcp.oauth_required']);
});

describe('what is asked by an event and by a request', () => {
  const ask = (at: World, id: number, question: string) => {
    at.ask('user_input.requested', { question }, `r${id}`);
    at.waits.pair(id, 'userInput.request', { question });
  };

  it('ends for both by the event, also of two with the same words', () => {
    const at = new World();
    ask(at, 1, 'sure?');
    ask(at, 2, 'sure?');
    at.ask('user_input.completed', {}, 'r1');
    expect(at.closed).toEqual([1]);
  });

  it('is not the same if it has other words', () => {
    const at = new World();
    at.ask('user_input.requested', { question: 'sure?' });
    at.waits.pair(1, 'userInput.request', { question: 'why?' });
    at.ask('user_input.completed');
    expect(at.closed).toEqual([]);
  });

  it('is given up by the request when nobody has come', async () => {
    const at = new World();
    ask(at, 1, 'sure?');
    await at.late();
    expect([at.givenUp, at.denied]).toEqual([[1], []]);
  });
});

it('an elicitation of a client is a part of no turn', () => {
  expect(waitOf('elicitation.requested', {})?.lifetime).toBe('Call');
  expect(waitOf('elicitation.requested', { elicitationSource: 's' })?.lifetime).toBe('Turn');
});
