import { expect, it } from '@jest/globals';
import { Pauses } from '../../../src/gateway/pauses.ts';
import { StaticFleet, TENANT } from '../../support/static-fleet.ts';

const fleet = () => new StaticFleet({ host: '10.0.0.1', port: 4321 }, 'token');

it('a tenant is paused by its annotation, whatever the port says', () => {
  const tenants = fleet();
  const pauses = new Pauses(tenants);
  expect(pauses.isPaused(TENANT)).toBe(false);
  tenants.change({ isPaused: true });
  pauses.resume(TENANT);
  expect(pauses.isPaused(TENANT)).toBe(true);
  tenants.change({ isPaused: undefined });
  expect(pauses.isPaused(TENANT)).toBe(false);
});

it('a tenant is paused by the port until it is resumed, and another one of its name is not', () => {
  const tenants = fleet();
  const pauses = new Pauses(tenants);
  pauses.pause(TENANT, 'uid-of-acme');
  expect(pauses.isPaused(TENANT)).toBe(true);
  tenants.change({ uid: 'uid-of-another' });
  expect(pauses.isPaused(TENANT)).toBe(false);
  tenants.change({ uid: 'uid-of-acme' });
  pauses.resume(TENANT);
  expect(pauses.isPaused(TENANT)).toBe(false);
  expect(pauses.isPaused({ ...TENANT, name: 'unknown' })).toBe(false);
});
