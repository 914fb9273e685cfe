import { describe, expect, it } from '@jest/globals';
import { OtherVersionError } from '../../../../src/kube/cache/availability.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import type { Status } from '../../../../src/kube/types/types.ts';
import { CopilotSession } from '../../../../src/resources/session.ts';
import { refusalOfMessage, refusalOfRequest } from '../../../../src/tenant/decisions/refusal.ts';

const request = { method: 'POST', path: '/apis/apps/v1/namespaces/team/deployments' };
const refused = (code: number, reason: string, message: string, details?: Status['details']) =>
  new StatusError(request, { code, reason, message, ...(details && { details }) });

const quota =
  'persistentvolumeclaims "acme-0" is forbidden: exceeded quota: small, requested: requests.storage=1Gi, used: requests.storage=1Gi, limited: requests.storage=1Gi';
const missingVerb =
  'deployments.apps "acme-0" is forbidden: User "system:serviceaccount:ops:operator" cannot patch resource "deployments" in API group "apps" in the namespace "team"';
const webhook = 'admission webhook "images.example.com" denied the request: images come from example.com only';
const policy =
  "deployments.apps \"acme-0\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'labels' denied request: a cost centre is missing";
const invalid =
  'Deployment.apps "acme-0" is invalid: spec.template.spec.containers[0].resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi';
const podSecurity = 'pods "acme-0" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true';

it('a resource that is served in other versions only is a cause, with the remedy', () => {
  const error = new OtherVersionError(CopilotSession, ['v1beta1']);
  expect(refusalOfRequest(error, "the tenant's resources")).toEqual({
    reason: 'Forbidden',
    message:
      'The API server serves copilotsessions.copilot-operator.dev as v1beta1 and not as v1alpha1: install the CRDs of this version of the operator, or the operator that belongs to the CRDs.',
  });
});

describe('a refusal of the API server', () => {
  it.each([
    [
      'a full quota',
      403,
      'Forbidden',
      quota,
      'QuotaExceeded',
      /ResourceQuota small of the namespace.*requested: requests\.storage=1Gi.*Raise the quota or lower/,
    ],
    [
      'a verb that the operator lacks',
      403,
      'Forbidden',
      missingVerb,
      'Forbidden',
      /lacks a permission for Deployment acme-0:.*cannot patch resource "deployments".*those of the chart/,
    ],
    [
      'a webhook that denies it',
      403,
      'Forbidden',
      webhook,
      'AdmissionDenied',
      /denied by an admission policy:.*images come from example\.com only.*or the policy/,
    ],
    ['a webhook with its own status code', 400, '', webhook, 'AdmissionDenied', /images come from example\.com only/],
    ['an admission policy', 403, 'Forbidden', policy, 'AdmissionDenied', /a cost centre is missing/],
    [
      'a policy with the reason Invalid',
      422,
      'Invalid',
      `${policy} is invalid: x`,
      'AdmissionDenied',
      /a cost centre is missing/,
    ],
    ['Pod Security', 403, 'Forbidden', podSecurity, 'PodSecurityViolated', /violates PodSecurity "restricted:latest"/],
    [
      'limits below requests',
      422,
      'Invalid',
      invalid,
      'InvalidSpec',
      /requests: Invalid value: "2Gi": must be less than.*Correct the tenant's spec/,
    ],
    [
      'a volume that cannot be expanded',
      403,
      'Forbidden',
      'persistentvolumeclaims "acme-0" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
      'VolumeNotExpandable',
      /does not allow expansion\. Revert spec\.storage\.size, or set allowVolumeExpansion in the StorageClass/,
    ],
  ])('is reported with its cause: %s', (_, code, httpReason, said, reason, message) => {
    const cause = refusalOfRequest(refused(code, httpReason, said), 'Deployment acme-0');
    expect(cause?.reason).toBe(reason);
    expect(cause?.message).toMatch(message);
    expect(cause?.message).toContain('Deployment acme-0');
  });

  it.each([
    [
      '61 * * * *',
      'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61',
      /Correct spec\.sessions\.cleanupSchedule of the tenant\.$/,
    ],
    [
      'Mars',
      'spec.timeZone: Invalid value: "Mars": unknown time zone Mars',
      /Correct spec\.sessions\.timeZone of the tenant\.$/,
    ],
    [
      'both',
      '[spec.schedule: Invalid value: "x": no, spec.timeZone: Invalid value: "Mars": no]',
      /Correct spec\.sessions\.cleanupSchedule of the tenant and spec\.sessions\.timeZone of the tenant\.$/,
    ],
    [
      'neither',
      'spec.jobTemplate.spec.template.spec.nodeSelector: Invalid value: "x": no',
      /Correct the tenant's spec\.$/,
    ],
  ])("is reported with the tenant's own field: %s", (_, field, message) => {
    const said = `CronJob.batch "acme-cleanup" is invalid: ${field}`;
    const cause = refusalOfRequest(refused(422, 'Invalid', said), 'CronJob acme-cleanup');
    expect(cause?.reason).toBe('InvalidSpec');
    expect(cause?.message).toMatch(message);
  });

  it('is reported without the request and the status code', () => {
    const { message } = refusalOfRequest(refused(422, 'Invalid', invalid), 'Deployment acme-0') ?? {};
    expect(message).not.toMatch(/POST|\/apis\/|422/);
  });

  it('a namespace that is being deleted comes before every other cause', () => {
    const details = { causes: [{ reason: 'NamespaceTerminating', message: 'namespace team is being terminated' }] };
    const error = refused(403, 'Forbidden', quota, details);
    const cause = refusalOfRequest(error, 'Deployment acme-0');
    expect(cause?.reason).toBe('NamespaceTerminating');
    expect(cause?.message).toMatch(/^Deployment acme-0 cannot be created: the namespace is being deleted/);
  });

  it.each([
    ['a conflict', refused(409, 'Conflict', 'the object has been modified')],
    ['too many requests', refused(429, 'TooManyRequests', 'slow down')],
    ['a server error', refused(500, 'InternalError', 'etcd is away')],
    ['a bad request of no webhook', refused(400, 'BadRequest', 'cannot decode')],
    ['no response', new TransportError(request, 'deadline', 'no response within 30000 ms')],
    ['another exception', new TypeError('x is not a function')],
  ])('is not an error that a retry may fix: %s', (_, error) => {
    expect(refusalOfRequest(error, 'Deployment acme-0')).toBeUndefined();
  });
});

describe('a refusal that the Deployment controller received', () => {
  it.each([
    [
      'forbidden',
      'QuotaExceeded',
      (name: string) =>
        `pods "${name}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1`,
    ],
    [
      'invalid',
      'InvalidSpec',
      (name: string) =>
        `Pod "${name}" is invalid: spec.containers[0].resources.requests: must be less than or equal to cpu limit`,
    ],
  ])('has the same message for each pod that it tries to create: %s', (_, reason, said) => {
    const [one, other] = ['acme-0-5d8f7-x2v9k', 'acme-0-5d8f7-qqqqq'].map((name) =>
      refusalOfMessage(said(name), 'The pod of server acme-0'),
    );
    expect(one).toEqual(other);
    expect(one?.reason).toBe(reason);
    expect(one?.message).toMatch(/^The pod of server acme-0 /);
  });

  // The texts of a real API server 1.36.
  it.each([
    [
      'failed quota: q: must specify limits.cpu for: server',
      'ResourcesRequired',
      /ResourceQuota q of the namespace requires: .*\. Set spec\.server\.resources\.limits\.cpu, or defaults in a LimitRange/,
    ],
    [
      'failed quota: q: must specify limits.cpu for: server; limits.memory for: server',
      'ResourcesRequired',
      /Set spec\.server\.resources\.limits\.cpu and spec\.server\.resources\.limits\.memory,/,
    ],
    [
      'minimum cpu usage per Container is 100m, but request is 50m',
      'LimitRangeViolated',
      /Change spec\.server\.resources or the LimitRange/,
    ],
    [
      '[maximum memory usage per Pod is 1Gi, but limit is 4Gi, cpu max limit to request ratio per Container is 2, but provided ratio is 20.000000]',
      'LimitRangeViolated',
      /Change spec\.server\.resources/,
    ],
    ['no PriorityClass with name nope was found', 'PriorityClassNotFound', /correct spec\.server\.priorityClassName/],
    ['pod rejected: RuntimeClass "nope" not found', 'RuntimeClassNotFound', /correct spec\.server\.runtimeClassName/],
    [
      'error looking up service account team/acme-servers: serviceaccount "acme-servers" not found',
      'ServiceAccountNotFound',
      /needs ServiceAccount acme-servers, which does not exist/,
    ],
    [
      'violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "a-proxy" must set securityContext.runAsNonRoot=true)',
      'PodSecurityViolated',
      /container "a-proxy".*The pods of the operator meet the standard restricted/,
    ],
  ])('has its own reason and the field to change: %s', (said, reason, message) => {
    const cause = refusalOfMessage(`pods "acme-0-5d8f7-x2v9k" is forbidden: ${said}`, 'Pod of server acme-0');
    expect(cause.reason).toBe(reason);
    expect(cause.message).toMatch(message);
    expect(cause.message).not.toContain('the policy.');
  });

  it.each([
    'Internal error occurred: failed calling webhook "w.example.com": failed to call webhook: Post "https://w.team.svc:443/": dial tcp 10.1.1.1:443: connect: connection refused',
    'Post "https://10.0.0.1:6443/api/v1/namespaces/team/pods": stream error: stream ID 12; INTERNAL_ERROR; received from peer',
  ])('is no refusal of a policy when the creation failed: %s', (said) => {
    const { reason, message } = refusalOfMessage(said, 'Pod of server acme-0');
    expect(reason).toBe('PodCreationFailed');
    expect(message).toMatch(/It is retried/);
    expect(message).not.toMatch(/policy|stream ID \d/);
  });

  it('is that of a policy whose text reads like another', () => {
    const said = 'admission webhook "w" denied the request: minimum cpu usage per Container is 1';
    expect(refusalOfMessage(said, 'Pod of server acme-0').reason).toBe('AdmissionDenied');
  });

  it('counts as that of a policy when its message is not known', () => {
    expect(refusalOfMessage('no', 'The pod of server acme-0').reason).toBe('AdmissionDenied');
  });
});
