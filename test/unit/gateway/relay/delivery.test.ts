// What is kept of what clients were told from the journal, so that the server does not tell it to them again.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Delivery } from '../../../../src/gateway/relay/session/delivery.ts';
import type { SessionClient } from '../../../../src/gateway/relay/model.ts';

const event = (id: string) => ({ type: 'assistant.message', body: `body of ${id}`, id });
const IDLE = { type: 'session.idle', body: 'idle', id: undefined };

let got: string[];
let client: SessionClient;
let delivery: Delivery;

beforeEach(() => {
  got = [];
  client = { deliver: (body: Buffer | string) => void got.push(String(body)) } as unknown as SessionClient;
  delivery = new Delivery(() => [client], 1000);
});

describe('an event that a client has from the journal', () => {
  it('is not told again by the server, whether it came meanwhile or comes later, and is kept no longer than that', () => {
    delivery.hold(client);
    delivery.to(client, event('a'));
    delivery.told(client, ['a', 'b']);
    delivery.release(client);
    expect([got, delivery.bytes > 0]).toEqual([[], true]);
    delivery.toAll(event('b'));
    expect([got, delivery.bytes]).toEqual([[], 0]);
    delivery.toAll(event('c'));
    expect(got).toEqual(['body of c']);
  });

  it('is forgotten at the end of the turn, if the server had told it before the client came', () => {
    delivery.hold(client);
    delivery.told(client, ['a', 'b']);
    delivery.release(client);
    delivery.toAll(IDLE);
    delivery.turnEnded();
    expect([got, delivery.bytes]).toEqual([['idle'], 0]);
  });

  it('is not forgotten at the end of a turn that the client has yet to hear of', () => {
    delivery.told(client, ['a']);
    delivery.hold(client);
    delivery.toAll(IDLE);
    delivery.turnEnded();
    delivery.to(client, event('a'));
    delivery.release(client);
    expect(got).toEqual(['idle']);
  });

  it('is forgotten with its client', () => {
    delivery.told(client, ['a']);
    delivery.drop(client);
    expect(delivery.bytes).toBe(0);
  });

  it('counts in memory', () => {
    delivery.told(
      client,
      Array.from({ length: 100 }, (_, index) => `id-${index}`),
    );
    expect(delivery.bytes).toBeGreaterThan(100 * 36);
  });
});
