import { describe, expect, it } from '@jest/globals';
import type { WriteError } from '../../../../src/copilot/index.ts';
import type { ServerHealth } from '../../../../src/servers/server.ts';
import { canWrite, writeErrorCause } from '../../../../src/tenant/decisions/write-error.ts';
import { healthy, NOW, unhealthy } from '../fixtures.ts';

const failing = (writeError: WriteError): ServerHealth => ({
  state: 'Healthy',
  version: '1.0.102',
  since: NOW,
  writeError,
});

describe('a server that cannot write to its volume', () => {
  it.each([
    ['EACCES', /^Server acme-0 cannot write to its volume \(EACCES\), so no session can be created\. Make .* writable/],
    ['EPERM', /\(EPERM\).*an NFS export needs no_root_squash or an owner that matches\.$/],
    ['EROFS', /\(EROFS\).*is read-only: check the volume of claim acme-0.*kubectl rollout restart deploy\/acme-0\.$/],
  ] as const)('is reported with the remedy for %s', (code, message) => {
    expect(canWrite(failing(code))).toBe(false);
    expect(writeErrorCause(failing(code), 'acme-0')).toEqual({
      reason: 'VolumeNotWritable',
      message: expect.stringMatching(message),
    });
  });

  it.each([healthy(), unhealthy(), { state: 'Unknown' } as const])('is not assumed of one that is %j', (health) => {
    expect(canWrite(health)).toBe(true);
    expect(writeErrorCause(health, 'acme-0')).toBeUndefined();
  });
});
