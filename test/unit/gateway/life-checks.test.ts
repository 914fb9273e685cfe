// What random lives are checked by: each fault is told, and nothing else is.
import { expect, it } from '@jest/globals';
import type { Life, LifeCall, LifeClient } from '../../support/life.ts';
import { problemsOfLife, type LifeFacts } from '../../support/life-checks.ts';
import { ClientEnd, type Frame, type JournalEvent } from '../../support/relay-world.ts';
import { Dice, seedsOf } from '../../support/random.ts';

const PROMPTS = ['p', 'q'];

function event(id: string, type: string, content?: string): JournalEvent {
  return { id, type, data: { content }, timestamp: 't', parentId: null };
}

const told = (of: JournalEvent): Frame => ({ method: 'session.event', params: { event: of } });
const journal = PROMPTS.flatMap((prompt) => [
  event(`${prompt}1`, 'user.message', prompt),
  event(`${prompt}2`, 'assistant.message'),
  event(`${prompt}3`, 'assistant.turn_end'),
]);
const idle = told(event('idle', 'session.idle'));
const refusal = (outcome: string): Frame => ({ id: 3, error: { code: -32050, message: 'no', data: { outcome } } });

/** All is well: a client has resumed the session, and sent two prompts. */
const FRAMES: readonly Frame[] = [
  { id: 1, result: {} },
  { id: 2, result: {} },
  ...journal.slice(0, 3).map(told),
  idle,
  { id: 3, result: {} },
  ...journal.slice(3).map(told),
  idle,
];

interface Changes extends Partial<Pick<LifeFacts, 'mayRefuse' | 'aborted' | 'mayMiss' | 'mayLose' | 'mayLoseEnds'>> {
  readonly frames?: readonly Frame[];
  readonly journal?: readonly JournalEvent[];
  readonly client?: Partial<LifeClient>;
}

function problems({ frames = FRAMES, journal: written = journal, client: changes, ...facts }: Changes): string[] {
  const end = new ClientEnd();
  end.received.push(...frames);
  const state = { isFirst: true, isGone: false, hasDetached: false };
  const client: LifeClient = { name: 'client 0', end, sessionId: 's', ...state, ...changes };
  const calls: LifeCall[] = [
    { client, id: 1, method: 'session.resume', told: 0 },
    { client, id: 2, method: 'session.send', prompt: 'p', told: 1 },
    { client, id: 3, method: 'session.send', prompt: 'q', told: 6 },
  ];
  const life: Pick<Life, 'clients' | 'calls'> = { clients: [client], calls };
  return problemsOfLife({ ...life, ...facts, journal: () => written });
}

const without = (at: number, by: readonly Frame[] = []) => FRAMES.toSpliced(at, 1, ...by);
const Q = 'session.send q of client 0';

it.each<[string, Changes, string[]]>([
  ['all is well', {}, []],
  ['a call gets no answer', { frames: without(0) }, ['session.resume 1 of client 0 got 0 answers']],
  ['a call gets two answers', { frames: [...FRAMES, { id: 2, result: {} }] }, [`session.send p of client 0 got 2 answers`]],
  ['a client has left before the answer', { frames: FRAMES.slice(0, 6), client: { isGone: true } }, []],
  ['a prompt is there twice', { journal: [...journal, event('x', 'user.message', 'q')], mayMiss: true }, [`${Q} is in the journal 2 times, and was acknowledged`]],
  ['an acknowledged prompt is lost', { journal: journal.slice(0, 3), mayLoseEnds: true }, [`${Q} is in the journal 0 times, and was acknowledged`]],
  ['a lost prompt is one that nobody knows of', { journal: journal.slice(0, 3), mayLoseEnds: true, mayLose: () => true }, []],
  ['a prompt that was not sent is there', { frames: without(6, [refusal('NotSent')]), mayRefuse: () => true }, [`${Q} is in the journal 1 times, and was refused with no`]],
  ['a prompt may have been sent', { frames: without(6, [refusal('Unknown')]), mayRefuse: () => true }, []],
  ['a prompt is refused', { frames: without(6, [refusal('Unknown')]) }, [`${Q} was refused: no`]],
  ['a turn does not begin for its client', { frames: without(7), mayMiss: true }, [`${Q} did not begin for its client`]],
  ['a turn does not end for its client', { frames: without(10) }, [`${Q} did not end for its client`]],
  ['a turn has no end in the journal', { journal: journal.slice(0, 5) }, [`${Q} has no end in the journal`]],
  ['a turn ends before it begins', { frames: without(6, [idle, { id: 3, result: {} }]) }, [`${Q} ended for its client before it began`]],
  ['an event does not come', { frames: without(3) }, ['client 0: the event assistant.message p2 did not come']],
  ['an event comes twice', { frames: [...FRAMES, ...FRAMES.slice(9, 10)] }, ['client 0: 1 events came twice: assistant.turn_end']],
  ['a lost message comes twice', { frames: [...FRAMES, ...['x', 'x'].map((id) => told(event(id, 'user.message')))] }, ['client 0: a message came twice']],
  ['events come in another order', { frames: FRAMES.with(3, told(journal[2] as JournalEvent)).with(4, told(journal[1] as JournalEvent)) }, ['client 0: events came in another order than that of the journal: assistant.turn_end p3 before assistant.message p2']],
  ['an error comes', { frames: [...FRAMES, told(event('x', 'session.error'))] }, ['client 0: an error came']],
  ['a later client has missed what was before it', { frames: FRAMES.toSpliced(2, 3), client: { isFirst: false } }, ['session.send p of client 0 did not begin for its client']],
] satisfies [string, Changes, string[]][])('the checker tells whether %s', (_, changes, expected) => {
  expect(problems(changes)).toEqual(expected);
}); // prettier-ignore

it('seeds are one, or a range', () => {
  expect([seedsOf('7'), seedsOf('1-3')]).toEqual([[7], [1, 2, 3]]);
  expect(() => seedsOf('1,2')).toThrow('RELAY_SEEDS=1,2');
});

it('dice fall as often as their weights say, the same for the same seed', () => {
  const sides = [
    { name: 'often', weight: 9 },
    { name: 'never', weight: 0 },
    { name: 'seldom', weight: 1 },
  ];
  const thrown = (seed: number) => {
    const dice = new Dice(seed);
    return Array.from({ length: 1000 }, () => dice.weighted(sides)?.name);
  };
  const count = (name: string) => thrown(1).filter((each) => each === name).length;
  expect(thrown(1)).toEqual(thrown(1));
  expect([count('never'), count('often') > 850, count('seldom') > 50]).toEqual([0, true, true]);
});
