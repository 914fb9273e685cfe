import { describe, expect, it } from '@jest/globals';
import { PlaceQueue } from '../../../src/tenant/place-queue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { MINUTE, SECOND } from './fixtures.ts';

const A = 'team/a-0';
const B = 'team/b-0';
const unseen = (): undefined => undefined;

function queue(...asking: string[]) {
  const clock = new FakeClock();
  const places = new PlaceQueue(clock);
  for (const server of asking) places.ask(server);
  return { clock, places };
}

describe('the queue for a place', () => {
  it('has the servers that ask, until they leave', () => {
    const { places } = queue(A, B);
    places.leave(A);
    expect(places.waiting()).toEqual([B]);
  });

  it('passes over a server that no longer asks, until it does', async () => {
    const { places, clock } = queue(A);
    await clock.advance(4 * MINUTE);
    expect(places.waiting()).toEqual([]);
    places.ask(A);
    expect(places.waiting()).toEqual([A]);
  });

  it('passes over a server whose write was refused, for a minute', async () => {
    const { places, clock } = queue(A, B);
    places.grant(A);
    places.refused(A);
    expect([places.waiting(), places.granted(unseen)]).toEqual([[B], []]);
    await clock.advance(MINUTE);
    expect(places.waiting()).toEqual([A, B]);
  });

  it('counts a place from its grant until the cache shows the write', () => {
    const { places } = queue(A);
    places.grant(A);
    expect(places.granted(() => 7)).toEqual([A]);
    places.written(A, 8);
    expect(places.granted(() => 7)).toEqual([A]);
    expect(places.granted(() => 8)).toEqual([]);
  });

  it('does not count a write for ever that the cache never shows', async () => {
    const { places, clock } = queue(A);
    places.grant(A);
    places.written(A, 8);
    await clock.advance(31 * SECOND);
    expect(places.granted(unseen)).toEqual([]);
  });
});
