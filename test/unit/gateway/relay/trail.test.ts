import { expect, it } from '@jest/globals';
import { factOf } from '../../../../src/gateway/relay/journal/facts.ts';
import { Trail } from '../../../../src/gateway/relay/journal/trail.ts';

function trailOf(...ids: string[]): Trail {
  const trail = new Trail();
  for (const id of ids) trail.add(id, undefined);
  return trail;
}

it('a trail is cut where the journal ends', () => {
  const trail = trailOf('a', 'b', 'c');
  const { kept, lost } = trail.cutAfter('b');
  expect([kept.map(({ position }) => position), lost.map(({ position }) => position)]).toEqual([[1, 2], [3]]);
  expect([trail.has('b'), trail.has('c'), trail.position]).toEqual([true, false, 3]);
});

it('a trail is lost as a whole when the journal has nothing of it', () => {
  const trail = trailOf('a', 'b');
  expect(trail.cutAfter(undefined).lost).toHaveLength(2);
  expect(trail.has('a')).toBe(false);
});

it('a trail has the last events only', () => {
  const trail = trailOf(...Array.from({ length: 1000 }, (_, n) => `${n}`));
  expect([trail.has('0'), trail.has('999'), trail.position]).toEqual([false, true, 1000]);
  expect(trail.cutAfter('999').kept).toHaveLength(128);
});

it.each([
  ['user.message', { data: { messageId: 'm', content: 'x' } }, 'Prompt'],
  ['assistant.message', { data: { toolRequests: [] } }, 'Answer'],
  ['assistant.message', { data: { toolRequests: [{}] } }, 'Work'],
  ['assistant.message', { data: {}, agentId: 'sub' }, undefined],
  ['assistant.message', { data: { parentToolCallId: 'call' } }, undefined],
  ['user.message', { data: { content: 'without an id' } }, undefined],
  ['user.message', 'no event', undefined],
  ['tool.execution_complete', undefined, 'Work'],
  ['abort', undefined, 'End'],
  ['session.error', undefined, 'End'],
  ['constructor', undefined, undefined],
])('%s %j is the fact %s', (type, event, kind) => {
  expect(factOf(type, event)?.kind).toBe(kind);
});
