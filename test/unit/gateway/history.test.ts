import { expect, it } from '@jest/globals';
import { problemsOf, type HistoryEvent, type Seen } from '../../support/history.ts';

const journal: HistoryEvent[] = [
  { id: '0', type: 'session.start' },
  { id: '1', type: 'user.message', content: 'a' },
  { id: '2', type: 'assistant.message' },
  { id: '3', type: 'session.shutdown' },
  { id: '4', type: 'user.message', content: 'b' },
];
const seen: Seen = { prompts: ['a', 'b'], failed: [], events: journal };

it.each<[string, Partial<Seen>, string[]]>([
  ['all is well', {}, []],
  ['an event that is lost is shown', { events: [{ id: 'x', type: 'user.message' }, ...journal] }, []],
  ['a prompt fails', { failed: ['b'] }, ['the prompt b did not get its answer']],
  ['a prompt is lost', { prompts: ['a', 'b', 'c'] }, ['the journal has the prompts a,b, and acknowledged were a,b,c']],
  ['a prompt is there twice', { prompts: ['a'] }, ['the journal has the prompts a,b, and acknowledged were a']],
  ['an event does not come', { events: journal.slice(0, 4) }, ['the event user.message 4 did not come']],
  [
    'an event comes twice',
    { events: [...journal, ...journal.slice(2, 3)] },
    ['1 events came twice: assistant.message'],
  ],
  [
    'the order is another one',
    { events: journal.toReversed() },
    ['events came in another order than that of the journal: user.message 4 before assistant.message 2'],
  ],
])('the checker tells whether %s', (_, changes, problems) => {
  expect(problemsOf(journal, { ...seen, ...changes })).toEqual(problems);
});

it.each(['tool.execution_start', 'subagent.completed'])('lets %s come in another order, once', (type) => {
  const tool = [
    { id: 's', type },
    { id: 'e', type: 'tool.execution_complete' },
  ];
  const told = [...journal, ...tool.toReversed()];
  expect(problemsOf([...journal, ...tool], { ...seen, events: told })).toEqual([]);
  expect(problemsOf([...journal, ...tool], { ...seen, events: [...told, ...tool] })).toEqual([
    `2 events came twice: ${type},tool.execution_complete`,
  ]);
});

const [end, abort] = [
  { id: 'e', type: 'assistant.turn_end' },
  { id: 'a', type: 'abort' },
];

it('lets what happens at once come in the order in which it happened, and not otherwise', () => {
  const found = (abortAt: string, endAt: string) => {
    const written = [...journal, { ...end, at: endAt }, { ...abort, at: abortAt }];
    return problemsOf(written, { ...seen, events: [...journal, abort, end] });
  };
  expect(found('2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.002Z')).toEqual([]);
  expect(found('2026-01-01T00:00:00.001Z', '2026-01-01T00:00:00.001Z')).toEqual([]);
  expect(found('2026-01-01T00:00:00.002Z', '2026-01-01T00:00:00.001Z')).toHaveLength(1);
});

it('lets the end of a turn come before the abort that was written right before it, and no other one', () => {
  const between = { id: 'b', type: 'assistant.message' };
  const told = { ...seen, events: [...journal, end, abort] };
  expect(problemsOf([...journal, abort, end], told)).toEqual([]);
  const problem = 'events came in another order than that of the journal: assistant.turn_end e before abort a';
  const other = { ...seen, events: [...journal, end, abort, between] };
  expect(problemsOf([...journal, abort, between, end], other)).toEqual([problem]);
});
