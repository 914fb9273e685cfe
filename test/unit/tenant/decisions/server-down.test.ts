import { describe, expect, it } from '@jest/globals';
import { isDown } from '../../../../src/tenant/decisions/server-down.ts';
import { healthyServer, silentServer } from '../../../support/tenants.ts';

const closed = { portOpen: false, ready: false } as const;
const failed = (reason: 'ImagePullFailed' | 'NodeLost' | 'SidecarFailed') =>
  ({ state: 'Failed', cause: { reason, message: 'It fails.' } }) as const;

describe('a server', () => {
  it.each([
    ['whose image cannot be pulled is down', healthyServer(0, { ...closed, ...failed('ImagePullFailed') }), true],
    ['without a pod is down', healthyServer(0, { ...closed, state: 'Pending' }), true],
    ['that is healthy is not', healthyServer(0), false],
    ['that does not respond is not: its turns may still run', silentServer(0), false],
    ['on a lost node is not: it may still write', healthyServer(0, { ...closed, ...failed('NodeLost') }), false],
    ['beside a failing sidecar is not', healthyServer(0, { ready: false, ...failed('SidecarFailed') }), false],
    ['that starts is not', healthyServer(0, { ...closed, state: 'Starting' }), false],
  ])('%s', (_, server, down) => {
    expect(isDown(server)).toBe(down);
  });
});
