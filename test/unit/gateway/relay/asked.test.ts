import { describe, expect, it } from '@jest/globals';
import { Asked } from '../../../../src/gateway/relay/asked.ts';
import type { ClientAnswer, Declaration, SessionClient } from '../../../../src/gateway/relay/model.ts';

/** A client of which is known what it has yet to answer. */
class AskedClient implements SessionClient {
  readonly id = 1;
  readonly isEnded = false;
  readonly open = new Set<(answer: ClientAnswer) => void>();

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

function asking(declaration: Declaration = { requestUserInput: true }) {
  const [a, b] = [new AskedClient(), new AskedClient()];
  const attached = new Map<SessionClient, Declaration>([a, b].map((client) => [client, declaration]));
  const answers: ClientAnswer[] = [];
  const asked = new Asked({
    limit: 10,
    maxBytes: 100,
    mayKeep: () => true,
    observer: { unattended: () => undefined },
    attached: () => attached,
    setDeadline: () => ({ cancel: () => undefined }),
    answer: (_id, answer) => answers.push(answer),
  });
  asked.take(1, 'userInput.request', {}, 60);
  return { a, b, asked, answers, attached };
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
