import { describe, expect, it } from '@jest/globals';
import { CallOrder, type CallPlace } from '../../../../src/gateway/relay/session/call-order.ts';

const CLIENT = {};

/** Calls in the order in which they were let go. */
class Line {
  readonly order = new CallOrder();
  readonly went: string[] = [];

  enter(startsTurn = false, client = CLIENT): CallPlace {
    return this.order.enter(client, startsTurn);
  }

  send(name: string, place: CallPlace): void {
    place.reach('Sent', () => this.went.push(name));
  }
}

describe('a call', () => {
  it('that is free first waits for those before it, and then all go in their order', () => {
    const line = new Line();
    const [first, second, third] = [line.enter(), line.enter(), line.enter()];
    line.send('third', third);
    line.send('second', second);
    expect(line.went).toEqual([]);
    line.send('first', first);
    expect(line.went).toEqual(['first', 'second', 'third']);
  });

  it('waits for none that was answered, or is another client’s', () => {
    const line = new Line();
    line.enter(false, {});
    const [first, second] = [line.enter(), line.enter()];
    line.send('second', second);
    first.leave();
    expect(line.went).toEqual(['second']);
  });

  it('is not made if it was answered while it waited, and does not wait after that', () => {
    const line = new Line();
    const [first, second] = [line.enter(), line.enter()];
    line.send('second', second);
    second.leave();
    line.send('first', first);
    expect(line.went).toEqual(['first']);
    line.enter();
    line.send('second', second);
    expect(line.went).toEqual(['first', 'second']);
  });

  it('waits for no prompt, and prompts wait for all', () => {
    const line = new Line();
    const [prompt, call, next] = [line.enter(true), line.enter(), line.enter(true)];
    line.send('next', next);
    line.send('call', call);
    expect(line.went).toEqual(['call']);
    line.send('prompt', prompt);
    expect(line.went).toEqual(['call', 'prompt', 'next']);
  });

  it('that was sent in vain is before those that came after it', () => {
    const line = new Line();
    const [first, second] = [line.enter(), line.enter()];
    line.send('first', first);
    first.again();
    line.send('second', second);
    line.send('first again', first);
    expect(line.went).toEqual(['first', 'first again', 'second']);
  });

  it('that has left comes back to no place', () => {
    const line = new Line();
    const [first, second] = [line.enter(), line.enter()];
    first.leave();
    first.again();
    line.send('second', second);
    expect(line.went).toEqual(['second']);
  });
});

it('prompts are kept in their order, and need not wait for what is before them to be sent', () => {
  const line = new Line();
  const [first, second] = [line.enter(true), line.enter(true)];
  second.reach('Kept', () => line.went.push('second kept'));
  expect(line.went).toEqual([]);
  first.reach('Kept', () => line.went.push('first kept'));
  expect(line.went).toEqual(['first kept', 'second kept']);
  line.send('second', second);
  line.send('first', first);
  expect(line.went.slice(2)).toEqual(['first', 'second']);
});
