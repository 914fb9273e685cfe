import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput, CopilotTenantStatus } from '../../../../src/api/tenant.ts';
import type { VolumeUsage } from '../../../../src/api/tenant-status.ts';
import type { PersistentVolumeClaim, Pod } from '../../../../src/kube/types/builtins.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { formatCleanupResult, type MeasuredVolume } from '../../../../src/resources/cleanup-result.ts';
import { volumeUsages } from '../../../../src/tenant/sessions/volume-usage.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import { boundClaim, container, HOUR, MINUTE, NOW, pod } from '../fixtures.ts';

const RESULT = {
  result: 'Succeeded',
  dryRun: false,
  kept: 0,
  deleted: 0,
  freedBytes: 0,
  sweptFiles: 0,
  errors: 0,
} as const;

/** A cleanup pod that ended this long ago, with its measurements. */
function saw(ago: number, ...volumes: MeasuredVolume[]): Pod {
  const terminated = {
    exitCode: 0,
    finishedAt: timestamp(NOW - ago),
    message: formatCleanupResult({ ...RESULT, volumes }),
  };
  return pod({ containerStatuses: [container({ name: 'cleanup', state: { terminated } })] });
}
const usage = (ago: number, space: number): VolumeUsage => ({ time: timestamp(NOW - ago), space, capacity: '1Gi' });
const statusWith = (volumeUsage: VolumeUsage): CopilotTenantStatus => ({
  servers: [{ name: 'acme-0', state: 'Healthy', restarts: 0, volumeUsage }],
});

interface Found {
  readonly spec?: CopilotTenantSpecInput;
  readonly status?: CopilotTenantStatus;
  readonly claim?: PersistentVolumeClaim;
}
const usageOf = (pods: readonly Pod[], { spec = {}, status, claim = boundClaim() }: Found = {}) =>
  volumeUsages({
    tenant: sampleTenant(spec, {}, status),
    servers: new Map([[0, { index: 0, pods: [], claim }]]),
    pods,
  }).get(0);

describe('the usage of a volume', () => {
  it('is the measurement of the last pod that mounted it', () => {
    const pods = [
      saw(HOUR, { name: 'acme-0', space: 10, size: 2 ** 30 }),
      saw(MINUTE, { name: 'acme-0', space: 20, size: 2 ** 30, files: 30 }),
    ];
    expect(usageOf(pods)).toEqual({ ...usage(MINUTE, 20), files: 30 });
  });

  it('marks a file system that is shared', () => {
    const node = { name: 'acme-0', space: 90, size: 200 * 2 ** 30 };
    expect(usageOf([saw(MINUTE, node)])).toEqual({ ...usage(MINUTE, 90), shared: true });
  });

  it('is unchanged before and after the pod is deleted', () => {
    const status = statusWith(usage(MINUTE, 20));
    expect(usageOf([], { status })).toBe(status.servers?.[0]?.volumeUsage);
    expect(usageOf([saw(MINUTE, { name: 'acme-0', space: 20, size: 2 ** 30 })], { status })).toBe(
      status.servers?.[0]?.volumeUsage,
    );
    expect(usageOf([saw(HOUR, { name: 'acme-0', space: 99, size: 2 ** 30 })], { status })?.space).toBe(20);
  });

  it('is that of this volume, and never of another', () => {
    expect(usageOf([saw(MINUTE, { name: 'acme-1', space: 20, size: 2 ** 30 })])).toBeUndefined();
    const claim = boundClaim({}, { creationTimestamp: timestamp(NOW - MINUTE) });
    const pods = [saw(HOUR, { name: 'acme-0', space: 90, size: 2 ** 30 })];
    expect(usageOf(pods, { claim, status: statusWith(usage(HOUR, 90)) })).toBeUndefined();
    expect(
      usageOf([saw(MINUTE, { name: 'acme-0', space: 20, size: 2 ** 30 })], { spec: { replicas: 0 } }),
    ).toBeUndefined();
  });

  it('is not read from a pod without a valid result, or without a time', () => {
    const terminated = {
      exitCode: 0,
      message: formatCleanupResult({ ...RESULT, volumes: [{ name: 'acme-0', space: 1, size: 2 ** 30 }] }),
    };
    const timeless = pod({ containerStatuses: [container({ name: 'cleanup', state: { terminated } })] });
    expect(usageOf([timeless, pod()])).toBeUndefined();
  });
});
