import { describe, expect, it } from '@jest/globals';
import { onVolumeToo } from '../../../../src/session/decisions/causes.ts';
import { keptCopy } from '../../../../src/session/decisions/kept-copy.ts';
import type { Located, ServerView } from '../../../../src/session/model.ts';
import { answerOf, sessionFacts } from '../../../support/fake-sessions.ts';
import { sampleSession } from '../../../support/sessions.ts';

const server = (index: number, answers: boolean, surplus = false): ServerView => ({
  index,
  name: `acme-${index}`,
  key: `team/acme-${index}`,
  volume: { claim: `acme-${index}`, index },
  runState: 'Expected',
  surplus,
  answer: answers ? answerOf(0) : undefined,
  limitations: [],
});
const copy = (on: ServerView): Located => ({ server: on, facts: sessionFacts('chat') });
const [answering, silent, scaledDown] = [server(0, true), server(1, false), server(2, false, true)];
const all = [answering, silent, scaledDown];
const find = (copies: Located[], last: string | undefined, hasVolume = true) =>
  keptCopy(all, copies, last, () => hasVolume)?.name;

describe('a copy of a session on the volume of a server that does not answer', () => {
  it.each<[string, Located[], string | undefined, boolean, string | undefined]>([
    ['is kept when the session is created anew after a scale-down', [copy(answering)], 'acme-2', true, 'acme-2'],
    [
      'is kept when the session is created anew while its server does not answer',
      [copy(answering)],
      'acme-1',
      true,
      'acme-1',
    ],
    ['is gone with its volume', [copy(answering)], 'acme-2', false, undefined],
    ['is the only one', [], 'acme-2', true, undefined],
    ['is not where the session was never seen', [copy(answering)], undefined, true, undefined],
    ['is not on a server that has the session', [copy(answering)], 'acme-0', true, undefined],
    ['is not on a server that is unknown', [copy(answering)], 'other-0', true, undefined],
  ])('%s', (_case, copies, last, hasVolume, expected) => {
    expect(find(copies, last, hasVolume)).toBe(expected);
  });

  it('is gone when its server answers without it', () => {
    expect(keptCopy(all, [copy(server(5, true))], 'acme-0', () => true)).toBeUndefined();
  });

  it('is reported with its volume, and with what brings its server back', () => {
    const session = sampleSession({ sessionId: 'chat' });
    const message = (kept: ServerView) => onVolumeToo(session, [copy(answering)], kept).message;
    expect(message(scaledDown)).toMatch(
      /PersistentVolumeClaim acme-2 keeps its data; server acme-0 has data of session chat too.*increase spec\.replicas of CopilotTenant acme to at least 3/,
    );
    expect(message(silent)).toMatch(/wait until server acme-1 answers/);
  });
});
