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

function asking() {
  const [a, b] = [new AskedClient(), new AskedClient()];
  const attached = new Map<SessionClient, Declaration>([a, b].map((client) => [client, { requestUserInput: true }]));
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
  return { a, b, asked, answers };
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

it('what is asked is bounded by its size', () => {
  const { b, asked } = asking();
  expect(asked.take(2, 'userInput.request', {}, 60)).toBe(false);
  b.answer({ result: {} });
  expect(asked.take(2, 'userInput.request', {}, 60)).toBe(true);
});
