import { describe, expect, it } from '@jest/globals';
import { volumeServer, type VolumeServerInput } from '../../../../src/tenant/decisions/volume-server.ts';

const servers = (...ready: boolean[]) => ready.map((each, index) => ({ index, name: `acme-${index}`, ready: each }));
const choose = (input: Partial<VolumeServerInput>) =>
  volumeServer({ servers: servers(true, true, true), draining: new Set(), last: undefined, ...input });

describe('the server that works on a volume which several share', () => {
  it.each<[string, Partial<VolumeServerInput>, number | undefined, string]>([
    ['is the first one', {}, 0, 'Chosen'],
    ['is the first that is ready', { servers: servers(false, true, true) }, 1, 'Chosen'],
    ['stays, though one before it is ready again', { last: 'acme-2' }, 2, 'Kept'],
    ['is another one while it is not ready', { servers: servers(true, true, false), last: 'acme-2' }, 0, 'Chosen'],
    ['is another one while it drains', { draining: new Set([0]), last: 'acme-0' }, 1, 'Chosen'],
    ['is another one when it was scaled down', { last: 'acme-3' }, 0, 'Chosen'],
    ['is none while none is ready', { servers: servers(false, false) }, undefined, 'NoneReady'],
    ['is none without servers', { servers: [] }, undefined, 'NoneReady'],
  ])('%s', (_case, input, index, reason) => {
    const { server, reason: found } = choose(input);
    expect([server?.index, found]).toEqual([index, reason]);
  });

  it('is told, with the one before it', () => {
    expect(choose({ last: 'acme-3' }).message).toBe(
      'Server acme-0 works on the volume in place of acme-3, which is not ready or is drained.',
    );
  });
});
