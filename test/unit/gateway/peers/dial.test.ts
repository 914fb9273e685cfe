// What comes of an address that is none: it was read from a Lease.
import { describe, expect, it } from '@jest/globals';
import { dial } from '../../../../src/gateway/peers/dial.ts';
import { PeerUnreachableError } from '../../../../src/gateway/peers/model.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

describe('a peer with an address that is none', () => {
  it.each(['host:99999', 'host:port', ''])('cannot be reached at %j', async (address) => {
    const self = { id: 'a.1', lease: 'a', address: 'a:1' };
    const keys = { all: [{ id: 'key', key: Buffer.alloc(32) }] };
    const member = { id: 'b.1', lease: 'b', address };
    const options = { keys, clock: new FakeClock(), self: () => self };
    await expect(dial(member, 'forward', options)).rejects.toThrow(PeerUnreachableError);
  });
});
