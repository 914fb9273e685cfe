import { describe, expect, it } from '@jest/globals';
import { deletesOnVolume } from '../../../../src/resources/cleanup-pod.ts';
import { sweepJob } from '../../../../src/tenant/builders/sweepjob.ts';
import { restrictedViolations } from '../../../support/pod-security.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const AT = '2026-01-02T03:04:05Z';
const made = (besideServer: boolean) =>
  sweepJob(sampleTenant({ replicas: 3 }), 2, { image: 'example.com/operator:1', at: AT, besideServer });
const job = made(true);
const pod = job.spec?.template.spec;
const container = pod?.containers[0];

describe('the Job that sweeps a volume', () => {
  it('sweeps this one volume, and connects to no server', () => {
    expect(container?.image).toBe('example.com/operator:1');
    expect(container?.args).toEqual([
      'cleanup',
      '--sweep',
      '--volume=acme-2=/volumes/acme-2',
      '--result-file=/dev/termination-log',
    ]);
    expect(pod?.volumes).toEqual([{ name: 'acme-2', persistentVolumeClaim: { claimName: 'acme-2' } }]);
  });

  it('runs on the node of its server, and on any node when no server runs', () => {
    expect(pod?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution).toEqual([
      expect.objectContaining({
        labelSelector: { matchLabels: expect.objectContaining({ 'copilot-operator.dev/server': 'acme-2' }) },
      }),
    ]);
    const alone = made(false).spec?.template.spec?.affinity?.podAffinity;
    expect(alone).not.toHaveProperty('requiredDuringSchedulingIgnoredDuringExecution');
  });

  it('has no credentials, and runs where Pod Security is restricted', () => {
    expect(container?.env).toBeUndefined();
    expect(pod && restrictedViolations(pod)).toEqual([]);
  });

  it('has the request as an annotation, a deadline of ten minutes, and the tenant as owner', () => {
    expect(job.metadata).toMatchObject({ name: 'acme-sweep2', annotations: { 'copilot-operator.dev/sweep-at': AT } });
    expect(job.spec).toMatchObject({ backoffLimit: 2, activeDeadlineSeconds: 600, ttlSecondsAfterFinished: 3600 });
    expect(job.metadata.ownerReferences).toEqual([
      expect.objectContaining({ kind: 'CopilotTenant', controller: true }),
    ]);
  });

  it('does not keep a server from starting', () => {
    const running = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, ...(pod && { spec: pod }) };
    expect(deletesOnVolume(running, 'acme-2')).toBe(false);
  });
});
