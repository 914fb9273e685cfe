import { describe, expect, it } from '@jest/globals';
import { Asked } from '../../../../src/gateway/relay/asking/asked.ts';
import type { ClientAnswer, Declaration, SessionClient } from '../../../../src/gateway/relay/model.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

/** A client of which is known what it has yet to answer. */
class AskedClient implements SessionClient {
  readonly id = 1;
  readonly user: string;
  readonly isEnded = false;
  readonly open = new Set<(answer: ClientAnswer) => void>();

  constructor(user: string) {
    this.user = user;
  }

  deliver(): void {
    // No event is sent here.
  }

  deliverPieces(): void {
    // Nor any pieces of one.
  }

  ask(_method: string, _params: unknown, answered: (answer: ClientAnswer) => void): () => void {
    this.open.add(answered);
    return () => void this.open.delete(answered);
  }

  answer(answer: ClientAnswer): void {
    const [answered] = this.open;
    if (answered === undefined) throw new Error('the client was asked nothing');
    this.open.delete(answered);
    answered(answer);
  }
}

const ALONE_MS = 100;

/** `turnUser`: whose turn asks, by its name. */
function asking(declaration: Declaration = { requestUserInput: true }, turnUser?: string) {
  const [a, b] = [new AskedClient('a'), new AskedClient('b')];
  const clock = new FakeClock();
  const attached = new Map<SessionClient, Declaration>([a, b].map((client) => [client, declaration]));
  const answers: ClientAnswer[] = [];
  const asked = new Asked({
    limit: 10,
    maxBytes: 100,
    mayKeep: () => true,
    isExpected: () => true,
    onNobody: () => undefined,
    observer: { unattended: () => undefined, hookPassed: () => undefined },
    attached: () => attached,
    setDeadline: () => ({ cancel: () => undefined }),
    setAlone: (fn) => clock.setTimer(ALONE_MS, fn),
    turnUser: () => turnUser,
    answer: (_id, answer) => answers.push(answer),
  });
  asked.take(1, 'userInput.request', {}, 60);
  return { a, b, asked, answers, attached, clock };
}

describe('who has yet to answer', () => {
  it('need not when another client has', () => {
    const { a, b, answers } = asking();
    b.answer({ result: { answer: 'b' } });
    expect(answers).toEqual([{ result: { answer: 'b' } }]);
    expect([a.open.size, b.open.size]).toEqual([0, 0]);
  });

  it('need not when the server is gone', () => {
    const { a, b, asked, answers } = asking();
    asked.clear();
    expect([a.open.size, b.open.size, answers.length]).toEqual([0, 0, 0]);
  });
});

describe('what a person decides in the turn of a user', () => {
  const declaration = { requestUserInput: true };
  const inTurnOf = (user: string) => asking(declaration, user);

  it('is asked of that user alone, and then of the others as well; the first answer counts', async () => {
    const { a, b, asked, answers, attached, clock } = inTurnOf('a');
    const c = new AskedClient('c');
    attached.set(c, declaration);
    asked.offer(c, declaration);
    expect([a, b, c].map(({ open }) => open.size)).toEqual([1, 0, 0]);
    await clock.advance(ALONE_MS);
    expect([a, b, c].map(({ open }) => open.size)).toEqual([1, 1, 1]);
    b.answer({ result: { answer: 'b' } });
    expect(answers).toEqual([{ result: { answer: 'b' } }]);
    expect([a, b, c].map(({ open }) => open.size)).toEqual([0, 0, 0]);
  });

  it('is asked of nobody else once the user has answered', async () => {
    const { a, b, answers, clock } = inTurnOf('a');
    a.answer({ result: { answer: 'a' } });
    await clock.advance(ALONE_MS);
    expect([answers.length, b.open.size]).toEqual([1, 0]);
  });

  it('is asked of the others when the user leaves, or has an error for an answer', () => {
    const left = inTurnOf('a');
    left.attached.delete(left.a);
    left.asked.leave(left.a);
    expect(left.b.open.size).toBe(1);
    const failed = inTurnOf('a');
    failed.a.answer({ error: { code: 1, message: 'no handler' } });
    expect([failed.b.open.size, failed.answers.length]).toEqual([1, 0]);
    failed.b.answer({ result: { answer: 'b' } });
    expect(failed.answers).toEqual([{ result: { answer: 'b' } }]);
  });

  it('fails if that was the only one there', () => {
    const { a, b, asked, answers, attached } = inTurnOf('a');
    attached.delete(b);
    asked.leave(b);
    a.answer({ error: { code: 1, message: 'no handler' } });
    expect(answers).toEqual([{ error: { code: 1, message: 'no handler' } }]);
  });

  it('is asked of all at once where the user is not there', () => {
    const { a, b } = inTurnOf('c');
    expect([a.open.size, b.open.size]).toEqual([1, 1]);
  });

  it('is no hook: each that declared some is heard', () => {
    const { a, b, asked } = asking({ hooks: true }, 'a');
    asked.take(2, 'hooks.invoke', { hookType: 'preToolUse' }, 1);
    expect([a.open.size, b.open.size]).toEqual([1, 1]);
  });
});

describe('what the server has its answer to by another way', () => {
  it('is asked of nobody any more, and is not answered', () => {
    const { a, b, asked, answers } = asking();
    asked.close(1);
    expect([a.open.size, b.open.size, asked.size, answers.length]).toEqual([0, 0, 0, 0]);
  });

  it('is left alone if it is answered already', () => {
    const { a, asked, answers } = asking();
    a.answer({ result: {} });
    asked.close(1);
    expect(answers).toHaveLength(1);
  });
});

describe('what is to be answered because nobody answers its event', () => {
  it('is, if nobody was asked', () => {
    const { asked, answers } = asking({});
    asked.deny(1);
    expect(answers).toEqual([{ error: { code: -32603, message: expect.any(String) } }]);
  });

  it('is left to those who were', () => {
    const { asked, answers } = asking();
    asked.deny(1);
    expect(answers).toEqual([]);
  });

  it('is nothing if it is answered already', () => {
    const { a, asked, answers } = asking();
    a.answer({ result: {} });
    asked.deny(1);
    expect(answers).toEqual([{ result: {} }]);
  });
});

describe('a turn that is aborted', () => {
  it('waits for nobody who is not there: a hook denies, and anything else fails', () => {
    const { asked, answers } = asking({});
    asked.take(2, 'hooks.invoke', { hookType: 'preToolUse' }, 1);
    asked.aborted();
    expect(asked.size).toBe(0);
    expect(answers).toContainEqual({ error: expect.anything() });
    expect(JSON.stringify(answers)).toContain('deny');
  });

  it('takes with it what somebody was asked, when it has ended', () => {
    const { a, b, asked, answers } = asking();
    asked.aborted();
    expect([a.open.size, b.open.size]).toEqual([1, 1]);
    asked.turnEnded();
    expect([a.open.size, b.open.size, asked.size]).toEqual([0, 0, 0]);
    // The server would keep the request for ever.
    expect(answers).toEqual([{ error: expect.anything() }]);
  });

  it('ends as soon as who was asked is gone', () => {
    const { a, b, asked, answers, attached } = asking();
    asked.aborted();
    attached.clear();
    asked.leave(a);
    expect(answers).toEqual([]);
    asked.leave(b);
    expect(answers).toEqual([{ error: expect.anything() }]);
  });

  it('leaves what is no part of it, and what is asked after it', () => {
    const { asked } = asking({ canvases: [], requestUserInput: true });
    asked.close(1);
    asked.take(2, 'canvas.open', {}, 1);
    asked.aborted();
    asked.take(3, 'userInput.request', {}, 1);
    asked.turnEnded();
    expect(asked.size).toBe(2);
  });
});

it('what is asked is bounded by its size', () => {
  const { b, asked } = asking();
  expect(asked.take(2, 'userInput.request', {}, 60)).toBe(false);
  b.answer({ result: {} });
  expect(asked.take(2, 'userInput.request', {}, 60)).toBe(true);
});
