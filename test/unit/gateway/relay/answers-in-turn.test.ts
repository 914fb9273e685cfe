import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { AnswersInTurn } from '../../../../src/gateway/relay/asking/answers-in-turn.ts';

const answers = new AnswersInTurn();

/** Answers, and how each of them came on, in order; `taken` says of the one that was given last whether it was taken. */
function several() {
  const log: string[] = [];
  const given: ((isTaken: boolean) => void)[] = [];
  const taken = (isTaken: boolean) => given.at(-1)?.(isTaken);
  const answer = (name: string, gone?: AbortSignal) =>
    answers.give('q', {
      gone,
      give: (done) => {
        log.push(`${name} given`);
        given.push(done);
      },
      refuse: () => void log.push(`${name} refused`),
      forget: () => void log.push(`${name} forgotten`),
    });
  return { log, answer, taken };
}

describe('of several answers to a question', () => {
  it('the next one is given when the one before was not taken, and none after one that was', () => {
    const { log, answer, taken } = several();
    for (const name of ['a', 'b', 'c']) answer(name);
    taken(false);
    taken(true);
    expect(log).toEqual(['a given', 'b given', 'c refused']);
  });

  it('none is given whose client has gone', () => {
    const { log, answer, taken } = several();
    const client = new AbortController();
    answer('a');
    answer('b', client.signal);
    client.abort();
    taken(false);
    expect(log).toEqual(['a given', 'b forgotten']);
  });

  it('nothing is left with their client', () => {
    const { answer, taken } = several();
    const { signal } = new AbortController();
    for (const name of ['a', 'b', 'c']) answer(name, signal);
    taken(false);
    taken(true);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
