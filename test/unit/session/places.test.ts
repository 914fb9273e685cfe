import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerPlaces } from '../../../src/resources/gateway-internal.ts';
import { SessionPlaces } from '../../../src/session/places.ts';
import { sampleSession } from '../../support/sessions.ts';

const alpha = sampleSession();
const has = (server: string, ...sessions: string[]): ServerPlaces => ({
  namespace: 'team',
  name: 'acme',
  server,
  sessions,
});

let places: SessionPlaces;
let told: string[];

beforeEach(() => {
  places = new SessionPlaces();
  told = [];
  places.onChange((key) => void told.push(key));
});

describe('where sessions are', () => {
  it('is not known before the gateway has said it', () => {
    expect(places.get(alpha)).toBeUndefined();
  });

  it('is what the gateway says, by tenant', () => {
    places.update([has('acme-1', 'beta', 'alpha'), { ...has('globex-0', 'alpha'), name: 'globex' }]);
    expect(places.get(alpha)).toBe('acme-1');
  });

  it('is told once for each change, and not of a session that no server has any more', () => {
    places.update([has('acme-0', 'alpha', 'beta')]);
    places.update([has('acme-0', 'alpha', 'beta')]);
    expect(told.splice(0)).toEqual(['team/acme alpha', 'team/acme beta']);
    places.update([has('acme-0', 'beta'), has('acme-1', 'alpha')]);
    expect(told.splice(0)).toEqual(['team/acme alpha']);
    places.update([]);
    expect([told, places.get(alpha)]).toEqual([[], undefined]);
  });
});
