import { describe, expect, it } from '@jest/globals';
import { mayRemove, type Claimant, type StoredData } from '../../../src/resources/session-removal.ts';

const data = (owner: string | undefined, servers: readonly string[] = ['acme-0']): StoredData => ({ servers, owner });
const resource = (owner?: string): Claimant => ({ kind: 'Session', owner });
const tenant: Claimant = { kind: 'Tenant' };

describe('the data of a session', () => {
  type Case = [string, StoredData, Claimant, ReturnType<typeof mayRemove>['reason']];
  it.each<Case>([
    ['without an owner is removed for a resource without one', data(''), resource(), 'Allowed'],
    ['without an owner is removed for a resource with one', data(''), resource('bob'), 'Allowed'],
    ['is removed for its owner', data('bob'), resource('bob'), 'Allowed'],
    ['is not removed for another owner', data('alice'), resource('bob'), 'OwnedByAnother'],
    ['with an owner is not removed for a resource without one', data('alice'), resource(), 'OwnedByAnother'],
    ['is not removed before its owner was read', data(undefined), resource('bob'), 'OwnerUnread'],
    ['is not removed before its owner was read, without one either', data(undefined), resource(), 'OwnerUnread'],
    ['is not removed from a server that has none', data('', ['acme-1']), resource(), 'OnAnotherServer'],
    ['on two servers is not removed by guess', data('', ['acme-0', 'acme-1']), resource(), 'OnSeveralServers'],
    [
      'on two servers is not removed for its owner',
      data('bob', ['acme-0', 'acme-1']),
      resource('bob'),
      'OnSeveralServers',
    ],
    ['is removed by the TTL of the tenant, whoever owns it', data('alice'), tenant, 'Allowed'],
    ['is removed by that TTL by the age of each copy', data('', ['acme-0', 'acme-1']), tenant, 'Allowed'],
    ['is not removed by that TTL while a CopilotSession keeps it', { ...data(''), kept: true }, tenant, 'Kept'],
    ['that a CopilotSession keeps is removed for that resource', { ...data(''), kept: true }, resource(), 'Allowed'],
  ])('%s', (_case, stored, claimant, reason) => {
    const permission = mayRemove(stored, claimant, 'acme-0');
    expect(permission).toMatchObject({ reason, allowed: reason === 'Allowed' });
    expect(permission.message).not.toMatch(/alice|bob/);
  });
});
