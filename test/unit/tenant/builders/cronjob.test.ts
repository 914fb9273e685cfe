import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { Label } from '../../../../src/api/names.ts';
import { tenantPods } from '../../../../src/resources/names.ts';
import { cronJob } from '../../../../src/tenant/builders/cronjob.ts';
import { sampleTenant } from '../../../support/tenants.ts';
import type { CleanupScope } from '../../../../src/tenant/model.ts';

const scope: CleanupScope = { servers: [0], volumes: [0], reason: 'ThroughServers', message: '' };

const made = (sessions: CopilotTenantSpecInput['sessions'] = {}, name = 'acme', paused = false) =>
  cronJob(sampleTenant({ sessions: { ttl: '720h', ...sessions } }, { name }), {
    image: 'example.com/operator:1',
    scope,
    paused,
  });
const podOf = (job: ReturnType<typeof cronJob>) => job.spec?.jobTemplate.spec?.template;
const argsOf = (job: ReturnType<typeof cronJob>) => podOf(job)?.spec?.containers[0]?.args ?? [];

describe('the cleanup of a tenant', () => {
  it('runs at the schedule and in the time zone of the spec', () => {
    const { spec } = made({ cleanupSchedule: '30 3 * * 1', timeZone: 'Europe/Berlin' });
    expect(spec).toMatchObject({ schedule: '30 3 * * 1', timeZone: 'Europe/Berlin', suspend: false });
  });

  it('runs once an hour by default, at a minute that stays the same', () => {
    expect(made().spec?.schedule).toMatch(/^([1-5]?\d) \* \* \* \*$/);
    expect(made().spec?.schedule).toBe(made().spec?.schedule);
    expect(made().spec).not.toHaveProperty('timeZone');
  });

  it('is spread over the hour for many tenants', () => {
    const minutes = Array.from({ length: 600 }, (_, index) => made({}, `tenant-${index}`).spec?.schedule);
    const busiest = Math.max(
      ...[...new Set(minutes)].map((minute) => minutes.filter((other) => other === minute).length),
    );
    // Evenly spread, there would be ten a minute.
    expect(busiest).toBeLessThan(30);
  });

  it('never runs twice at once, has a deadline, and is retried by the next run', () => {
    const { spec } = made();
    expect(spec).toMatchObject({
      concurrencyPolicy: 'Forbid',
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 2,
    });
    expect(spec?.startingDeadlineSeconds).toBeGreaterThan(0);
    expect(spec?.jobTemplate.spec).toMatchObject({ backoffLimit: 0, activeDeadlineSeconds: expect.any(Number) });
  });

  it('has the TTL, the kept sessions, and the servers and volumes in its arguments', () => {
    expect(argsOf(made())).toEqual([
      'cleanup',
      '--ttl=720h',
      '--policies=/etc/copilot-operator/policies.json',
      '--server=acme-0=acme-0.team.svc:4321',
      '--volume=acme-0=/volumes/acme-0',
      '--result-file=/dev/termination-log',
    ]);
    expect(argsOf(made({ cleanupDryRun: true }))).toContain('--dry-run');
    expect(argsOf(made())).not.toContain('--dry-run');
  });

  it('mounts no service account token, and passes the Pod Security standard "restricted"', () => {
    const spec = podOf(made())?.spec;
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      restartPolicy: 'Never',
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(spec?.containers[0]?.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('is suspended while there is nothing to clean up', () => {
    expect(made({}, 'acme', true).spec?.suspend).toBe(true);
  });

  it('has pods that are not selected as servers', () => {
    const labels = podOf(made())?.metadata?.labels ?? {};
    expect(labels[Label.tenant]).toBe('acme');
    expect(labels[Label.server]).toBeUndefined();
    const selected = Object.entries(tenantPods('acme')).every(([label, value]) => labels[label] === value);
    expect(selected).toBe(false);
  });

  it('is not built for a tenant without a TTL', () => {
    expect(() => cronJob(sampleTenant(), { image: 'i', scope, paused: false })).toThrow('spec.sessions.ttl');
  });
});
