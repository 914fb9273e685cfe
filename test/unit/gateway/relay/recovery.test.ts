import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Fact } from '../../../../src/gateway/relay/journal/facts.ts';
import {
  planRecovery,
  type CutMessage,
  type CutTurn,
  type JournalFact,
} from '../../../../src/gateway/relay/journal/recovery.ts';

const prompt = (messageId: string, content = messageId): Fact => ({ kind: 'Prompt', messageId, content });
const WORK: Fact = { kind: 'Work' };
const ANSWER: Fact = { kind: 'Answer' };
const END: Fact = { kind: 'End' };

/** Facts of which the first `delivered` were delivered, from position 1 on. */
function journal(facts: readonly Fact[], delivered = facts.length): JournalFact[] {
  return facts.map((fact, index) => ({ fact, position: index < delivered ? index + 1 : undefined }));
}

function acknowledged(id: string, seenAt?: number): CutMessage {
  return { ids: new Set([id]), content: id, seenAt, unansweredSince: undefined };
}

function unanswered(content: string, since = 0, ids: readonly string[] = []): CutMessage {
  return { ids: new Set(ids), content, seenAt: undefined, unansweredSince: since };
}

function plan(cut: Partial<CutTurn>) {
  return planRecovery({ prompts: [], journal: [], lastKept: 0, lost: [], hasActiveWork: false, ...cut });
}

describe('a turn that was cut', () => {
  it.each<[string, Partial<CutTurn>, ReturnType<typeof plan>]>([
    [
      'is over when the journal has the answer',
      { prompts: [[acknowledged('a')]], journal: journal([prompt('a'), ANSWER]) },
      { found: [['a']], runs: false, isOver: true },
    ],
    [
      'is begun again when the journal has the prompt only',
      { prompts: [[acknowledged('a')]], journal: journal([prompt('a')]) },
      { found: [['a']], runs: true, isOver: false },
    ],
    [
      'is begun again when the model had called a tool',
      { prompts: [[acknowledged('a')]], journal: journal([prompt('a'), WORK, WORK]) },
      { found: [['a']], runs: true, isOver: false },
    ],
    [
      'is begun again when the answer was shown and is lost',
      { prompts: [[acknowledged('a', 1)]], journal: journal([prompt('a')]), lastKept: 1, lost: [ANSWER] },
      { found: [['a']], runs: true, isOver: false },
    ],
    [
      'is left alone when the server waits for its clients',
      { prompts: [[acknowledged('a')]], journal: journal([prompt('a'), WORK]), hasActiveWork: true },
      { found: [['a']], runs: false, isOver: false },
    ],
    [
      'is over when it was aborted',
      { prompts: [[acknowledged('a')]], journal: journal([prompt('a'), END]) },
      { found: [['a']], runs: false, isOver: true },
    ],
    [
      'is over when clients were told that it was aborted, also if that is lost',
      { prompts: [[acknowledged('a', 1)]], journal: journal([prompt('a')]), lastKept: 1, lost: [END] },
      { found: [['a']], runs: false, isOver: true },
    ],
    [
      'is sent again when the journal does not have it, although it was shown',
      { prompts: [[acknowledged('a', 1)]], journal: [], lost: [prompt('a')] },
      { found: [[undefined]], runs: false, isOver: false },
    ],
    [
      'is found by what was delivered long ago',
      { prompts: [[acknowledged('a', 5)]], journal: [{ position: 300, fact: WORK }], lastKept: 300 },
      { found: [['a']], runs: true, isOver: false },
    ],
    [
      'has the prompts sent again that waited for it',
      {
        prompts: [[acknowledged('a')], [acknowledged('b')], [acknowledged('c')]],
        journal: journal([prompt('a'), WORK]),
      },
      { found: [['a'], [undefined], [undefined]], runs: true, isOver: false },
    ],
    [
      'is not begun again for a prompt whose answer is there, while the next one is not',
      { prompts: [[acknowledged('a')], [acknowledged('b')]], journal: journal([prompt('a'), ANSWER]) },
      { found: [['a'], [undefined]], runs: false, isOver: false },
    ],
    [
      'of a schedule is begun again, too',
      { journal: journal([prompt('by-itself'), WORK]) },
      { found: [], runs: true, isOver: false },
    ],
    ['of which nothing is known is over', {}, { found: [], runs: false, isOver: true }],
  ])('%s', (_, cut, expected) => {
    expect(plan(cut)).toEqual(expected);
  });
});

describe('a prompt whose acknowledgement was lost', () => {
  it.each<[string, Partial<CutTurn>, (string | undefined)[][]]>([
    ['is found by its text', { prompts: [[unanswered('x')]], journal: journal([prompt('1', 'x')], 0) }, [['1']]],
    [
      'is not one of before it was sent',
      { prompts: [[unanswered('x', 2)]], journal: journal([prompt('1', 'x'), ANSWER]) },
      [[undefined]],
    ],
    [
      'is one that was delivered since',
      { prompts: [[unanswered('x', 2)]], journal: journal([prompt('1', 'x'), ANSWER, prompt('2', 'x')]) },
      [['2']],
    ],
    [
      'is not one that was acknowledged',
      { prompts: [[acknowledged('1')], [unanswered('x')]], journal: journal([prompt('1', 'x')], 0) },
      [['1'], [undefined]],
    ],
    [
      'is one of several with the same text, each once',
      { prompts: [[unanswered('x')], [unanswered('x')]], journal: journal([prompt('1', 'x')], 0) },
      [['1'], [undefined]],
    ],
    [
      'and that was sent again under another id is found by its text, too',
      { prompts: [[unanswered('x', 0, ['old'])]], journal: journal([prompt('new', 'x')], 0) },
      [['new']],
    ],
    [
      'is not one with another text',
      { prompts: [[unanswered('x')]], journal: journal([prompt('1', 'y')], 0) },
      [[undefined]],
    ],
    [
      'has the messages sent again that are missing',
      { prompts: [[unanswered('x'), unanswered('y')]], journal: journal([prompt('1', 'x')], 0) },
      [['1', undefined]],
    ],
  ])('%s', (_, cut, found) => {
    expect(plan(cut).found).toEqual(found);
  });
});

it('no message is sent again that the journal has, and none is left out, whatever was cut', () => {
  const texts = fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(texts, fc.nat(6), fc.nat(6), (contents, written, answered) => {
      const facts = contents.slice(0, written).map((content, index) => prompt(`id-${index}`, content));
      const prompts = contents.map((content, index) =>
        index < answered ? [{ ...acknowledged(`id-${index}`), content }] : [unanswered(content)],
      );
      const { found } = plan({ prompts, journal: journal(facts, 0) });
      const ids = found.flat().filter((id) => id !== undefined);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids).toHaveLength(facts.length);
    }),
  );
});
