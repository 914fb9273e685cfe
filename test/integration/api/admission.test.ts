// Which manifests of tenants the API server accepts: there is no webhook, so this works while the operator is down.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';
import { type CopilotTenantSpecInput, tenantSpec } from '../../../src/api/tenant.ts';
import { startTenantApi, tenantManifest, type TenantApi } from '../../support/tenant-api.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
});
afterAll(() => api.stop());

/** The output of kubectl for a manifest that is refused; throws when it is accepted. */
async function refusal(name: string, spec: unknown): Promise<string> {
  const { code, stdout, stderr } = await api.kubectl.try(
    ['create', '--dry-run=server', '-f', '-'],
    tenantManifest(name, spec),
  );
  if (code === 0) throw new Error(`was accepted: ${stdout}`);
  return stderr;
}

const accepted = (name: string, spec?: unknown) =>
  api.kubectl.ok(['create', '--dry-run=server', '-o', 'json', '-f', '-'], tenantManifest(name, spec));

const secretRef = { name: 'credentials' };
const provider = { baseUrl: 'https://models.example.com/v1', model: 'gpt-oss' };

describe('a manifest is refused with the field and the reason', () => {
  const outOfRange = 'must be from 16Mi to 64Ti, written like 10Gi';
  it.each<[string, unknown, string]>([
    ['a negative number of servers', { replicas: -1 }, 'spec.replicas in body should be greater than or equal to 0'],
    ['a thousand servers', { replicas: 1000 }, 'spec.replicas in body should be less than or equal to 64'],
    ['a volume of size 0', { storage: { size: '0' } }, `spec.storage.size ${outOfRange}`],
    ['a volume of negative size', { storage: { size: '-1Gi' } }, `spec.storage.size ${outOfRange}`],
    ['a volume larger than any disk', { storage: { size: '1e30' } }, `spec.storage.size ${outOfRange}`],
    ['a size that is no quantity', { storage: { size: 'big' } }, `spec.storage.size ${outOfRange}`],
    ['a volume without unit', { storage: { size: 10 } }, 'spec.storage.size in body must be of type string: "integer"'],
    ['a home of size 0', { server: { home: { size: '0' } } }, `spec.server.home.size ${outOfRange}`],
    ['a /tmp of size 1Ei', { server: { tmp: { size: '1Ei' } } }, `spec.server.tmp.size ${outOfRange}`],
    ['a workspace of size 0', { server: { workspace: { size: '0' } } }, `spec.server.workspace.size ${outOfRange}`],
    ['a TTL of 0', { sessions: { ttl: '0s' } }, 'spec.sessions.ttl must be from 1m to 87600h'],
    ['a negative TTL', { sessions: { ttl: '-1h' } }, 'spec.sessions.ttl must be from 1m to 87600h'],
    ['a TTL of a century', { sessions: { ttl: '876000h' } }, 'spec.sessions.ttl must be from 1m to 87600h'],
    [
      'a permission timeout of 0',
      { sessions: { permissionTimeout: '0s' } },
      'spec.sessions.permissionTimeout must be from 1s to 168h',
    ],
    ['a schedule in words', { sessions: { cleanupSchedule: 'every night' } }, 'spec.sessions.cleanupSchedule'],
    ['a schedule of four fields', { sessions: { cleanupSchedule: '0 3 * *' } }, 'spec.sessions.cleanupSchedule'],
    [
      'a schedule with a zone in it',
      { sessions: { cleanupSchedule: 'TZ=UTC 0 3 * * *' } },
      'spec.sessions.cleanupSchedule',
    ],
    [
      'users who are kept apart, without the gateway',
      { isolation: 'Shared', access: 'Direct' },
      'spec.isolation Shared and SharedTrusted need the gateway: remove spec.access or set it to Gateway',
    ],
    [
      'servers that share a volume, without the gateway',
      { topology: 'SharedStorage', access: 'Direct', storage: { accessMode: 'ReadWriteMany' } },
      'spec.topology SharedStorage needs the gateway, which decides which server may write a session: remove spec.access or set it to Gateway',
    ],
    [
      'servers that share a volume which one node mounts',
      { topology: 'SharedStorage', storage: { accessMode: 'ReadWriteOnce' } },
      'spec.topology SharedStorage requires spec.storage.accessMode ReadWriteMany',
    ],
    [
      'servers that share a volume of the default access mode',
      { topology: 'SharedStorage' },
      'spec.topology SharedStorage requires spec.storage.accessMode ReadWriteMany',
    ],
    [
      'a volume of its own that several nodes mount',
      { storage: { accessMode: 'ReadWriteMany' } },
      'spec.storage.accessMode ReadWriteMany is for servers that share a volume: set spec.topology to SharedStorage',
    ],
    [
      'a limit of sessions for each user of a tenant whose users are not kept apart',
      { sessions: { maxPerUser: 5 } },
      'spec.sessions.maxPerUser requires spec.isolation Shared or SharedTrusted',
    ],
    [
      'no session for each user',
      { isolation: 'Shared', sessions: { maxPerUser: 0 } },
      'spec.sessions.maxPerUser in body should be greater than or equal to 1',
    ],
    [
      'no turn at all',
      { sessions: { maxConcurrentTurns: 0 } },
      'spec.sessions.maxConcurrentTurns in body should be greater than or equal to 1',
    ],
    ['another placement', { placement: 'Random' }, 'spec.placement: Unsupported value: "Random"'],
    [
      'another answer to a server that is away',
      { sessions: { unavailable: 'Retry' } },
      'spec.sessions.unavailable: Unsupported value: "Retry"',
    ],
    ['an unknown isolation', { isolation: 'Private' }, 'spec.isolation'],
    ['an invalid time zone', { sessions: { timeZone: 'at home!' } }, 'spec.sessions.timeZone'],
    ['an interval of 0', { health: { interval: '0s' } }, 'spec.health.interval must be from 1s to 1h'],
    ['a negative interval', { health: { interval: '-5s' } }, 'spec.health.interval must be from 1s to 1h'],
    ['an absurd interval', { health: { interval: '999999h' } }, 'spec.health.interval must be from 1s to 1h'],
    [
      'an interval that is no duration',
      { health: { interval: 'often' } },
      'spec.health.interval must be from 1s to 1h',
    ],
    ['an empty interval', { health: { interval: '' } }, 'spec.health.interval must be from 1s to 1h'],
    ['a timeout of 0', { health: { timeout: '0s' } }, 'spec.health.timeout must be from 1s to 5m'],
    ['a negative timeout', { health: { timeout: '-1s' } }, 'spec.health.timeout must be from 1s to 5m'],
    ['an absurd timeout', { health: { interval: '1h', timeout: '6m' } }, 'spec.health.timeout must be from 1s to 5m'],
    [
      'a timeout beyond the interval',
      { health: { interval: '5s', timeout: '6s' } },
      'spec.health.timeout must not be longer than spec.health.interval: shorten the timeout or lengthen the interval',
    ],
    ['a threshold of 0', { health: { failureThreshold: 0 } }, 'spec.health.failureThreshold in body should be greater'],
    [
      'an absurd threshold',
      { health: { failureThreshold: 1000 } },
      'spec.health.failureThreshold in body should be less',
    ],
    [
      'unloading at once',
      { server: { idleUnload: '5s' } },
      'spec.server.idleUnload must be from 1m to 720h, or 0s for never',
    ],
    ['unloading in a lifetime', { server: { idleUnload: '9999h' } }, 'spec.server.idleUnload must be from 1m to 720h'],
    [
      'two models',
      { model: { github: { tokenSecretRef: secretRef }, provider } },
      'spec.model must have github or provider, not both: remove one',
    ],
    [
      'a login from a gateway that clients do not pass',
      { access: 'Direct', model: { injection: 'Gateway', provider } },
      'spec.model.injection Gateway requires that clients come through the gateway: set spec.access to Gateway, or',
    ],
    ['an unknown injection', { model: { injection: 'Client' } }, 'spec.model.injection: Unsupported value: "Client"'],
    [
      'a provider that is no address',
      { model: { provider: { ...provider, baseUrl: 'models' } } },
      'spec.model.provider.baseUrl in body should match',
    ],
    [
      'a header that breaks the request',
      { model: { provider: { ...provider, headers: { 'X Y': 'z' } } } },
      'spec.model.provider.headers: a header name must consist of at most 64 letters, digits and hyphens',
    ],
    ['another program', { server: { binary: 'bash' } }, 'spec.server.binary: Unsupported value: "bash"'],
    ['an image with a space', { server: { image: 'a b' } }, 'spec.server.image in body should match'],
    [
      'a resource of no quantity',
      { server: { resources: { limits: { cpu: 'two' } } } },
      'spec.server.resources.limits.cpu in',
    ],
    [
      'a volume that nobody writes to',
      { storage: { accessMode: 'ReadOnlyMany' } },
      'spec.storage.accessMode: Unsupported value: "ReadOnlyMany"',
    ],
    [
      'egress that the policy ignores',
      { network: { policy: 'Open', egress: [{ cidr: '10.0.0.0/8' }] } },
      'spec.network.egress has no effect with policy Open: remove it, or set policy Restricted or AllowList',
    ],
    [
      'egress to two kinds of destinations',
      { network: { egress: [{ cidr: '10.0.0.0/8', podSelector: {} }] } },
      'spec.network.egress: a rule must have either cidr, or namespaceSelector and podSelector',
    ],
    [
      'egress to nowhere',
      { network: { egress: [{ ports: [{ port: 80 }] }] } },
      'spec.network.egress: a rule must have either cidr',
    ],
    [
      'egress to an invalid range',
      { network: { egress: [{ cidr: '10.0.0.1/8' }] } },
      'spec.network.egress: an address range must have a form such as 10.20.0.0/16',
    ],
    [
      'an exception outside its range',
      { network: { egress: [{ cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] }] } },
      'except must lie inside cidr',
    ],
    [
      'ports from high to low',
      { network: { egress: [{ podSelector: {}, ports: [{ port: 90, endPort: 80 }] }] } },
      'endPort must not be below port',
    ],
    ['an unknown field', { servers: 3 }, 'unknown field "spec.servers"'],
    [
      'an unknown field deep inside',
      { server: { affinity: { nodeAffinity: { required: {} } } } },
      'unknown field "spec.server.affinity.nodeAffinity.required"',
    ],
  ])('%s', async (_case, spec, message) => {
    expect(await refusal('acme', spec)).toContain(message);
  });

  it.each([
    [
      'longer than 40 characters',
      'a'.repeat(41),
      'metadata.name: Invalid value: metadata.name must be at most 40 characters long',
    ],
    ['that begins with a digit', '1st', 'metadata.name: Invalid value: metadata.name must begin with a letter'],
    ['with a dot', 'acme.corp', 'metadata.name must begin with a letter and contain only lower-case letters'],
  ])('a name %s', async (_case, name, message) => {
    expect(await refusal(name, {})).toContain(message);
  });
});

describe('what is just inside the bounds is accepted', () => {
  it.each<[string, unknown]>([
    ['no servers', { replicas: 0 }],
    ['the most servers', { replicas: 64 }],
    ['the smallest and the largest volume', { storage: { size: '64Ti' }, server: { workspace: { size: '16Mi' } } }],
    ['the longest interval and timeout', { health: { interval: '1h', timeout: '5m', failureThreshold: 60 } }],
    ['a timeout as long as the interval', { health: { interval: '1s', timeout: '1s', failureThreshold: 1 } }],
    ['sessions that stay loaded', { server: { idleUnload: '0s' } }],
    [
      'quantities as numbers',
      { server: { resources: { requests: { cpu: 1 }, limits: { cpu: 2, memory: 2147483648 } } } },
    ],
    [
      'every kind of egress',
      { network: { egress: [{ cidr: 'fd00::/8', except: ['fd00:1::/32'] }, { podSelector: {} }] } },
    ],
    ['users who are kept apart, behind the gateway', { isolation: 'Shared', access: 'Gateway' }],
    ['users who are kept apart', { isolation: 'SharedTrusted' }],
    ['a limit of sessions for each of them', { isolation: 'Shared', sessions: { maxPerUser: 10_000 } }],
    ['sessions of a user on one server', { placement: 'ByUser', sessions: { unavailable: 'Fail' } }],
    ['one turn at a time', { sessions: { maxConcurrentTurns: 1 } }],
    ['the shortest wait for a permission', { sessions: { permissionTimeout: '1s' } }],
    ['the longest wait for a permission', { sessions: { permissionTimeout: '168h' } }],
    ['an allow list of DNS only', { network: { policy: 'AllowList' } }],
    ['an allow list with destinations', { network: { policy: 'AllowList', egress: [{ cidr: '10.0.0.0/8' }] } }],
  ])('%s', async (_case, spec) => {
    await accepted('acme', spec);
  });

  it('the public part of NAT64, as the documentation has it', async () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'security.md'), 'utf8');
    const example = page.match(/```yaml\n(spec:\n {2}network:\n.*?)```/s)?.[1] ?? '';
    const { spec } = parse(example) as { spec: CopilotTenantSpecInput };
    expect(spec.network?.egress?.[0]?.except).toHaveLength(11);
    await accepted('acme', spec);
  });

  it('a name of 40 characters', async () => {
    await accepted('a'.repeat(40));
  });
});

describe('defaults', () => {
  it('complete an empty spec, and a missing one', async () => {
    const whole = {
      suspend: false,
      replicas: 1,
      server: {
        binary: 'cli',
        resources: { requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '4Gi' } },
        idleUnload: '30m',
      },
      storage: { size: '1Gi', accessMode: 'ReadWriteOnce', reclaimPolicy: 'Retain' },
      sessions: { cleanupDryRun: false, permissionTimeout: '10m' },
      health: { interval: '10s', timeout: '5s', failureThreshold: 3 },
      network: { policy: 'Restricted' },
      drain: { timeout: '5m' },
      isolation: 'Dedicated',
    };
    const specOf = async (spec?: unknown) => (JSON.parse(await accepted('acme', spec)) as { spec: unknown }).spec;
    expect(await specOf({})).toEqual(whole);
    // The schema in the operator has the same defaults.
    expect(tenantSpec.parse({})).toEqual(whole);
    expect(await specOf()).toEqual(whole);
  });

  it('complete a section that is written in part', async () => {
    const manifest = await accepted('acme', {
      health: { interval: '1m' },
      model: { github: { tokenSecretRef: secretRef } },
      server: { resources: { limits: { memory: '1Gi' } } },
    });
    expect(JSON.parse(manifest)).toMatchObject({
      spec: {
        health: { interval: '1m', timeout: '5s', failureThreshold: 3 },
        model: { github: { tokenSecretRef: { name: 'credentials', key: 'token' } } },
        // Kubernetes requests a resource at its limit; a default request could exceed the limit.
        server: { resources: { limits: { memory: '1Gi' } } },
      },
    });
    expect(JSON.parse(manifest)).not.toHaveProperty('spec.server.resources.requests');
  });
});

describe('a change is refused', () => {
  const created = { storage: { size: '2Gi', storageClassName: 'fast' } };
  beforeAll(async () => {
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('changing', created));
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('default-class'));
    const shared = { topology: 'SharedStorage', storage: { accessMode: 'ReadWriteMany' } };
    await api.kubectl.ok(['create', '-f', '-'], tenantManifest('shared', shared));
  });
  const retype = (name: string, topology: string | null) =>
    api.kubectl.try([
      'patch',
      `ct/${name}`,
      '--dry-run=server',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { topology } }),
    ]);

  it.each([
    ['to a volume for all servers', 'changing', 'SharedStorage'],
    ['to a volume for each server', 'shared', 'Sticky'],
    ['to the default', 'shared', null],
  ])('%s, and the message says how to migrate', async (_case, name, topology) => {
    const { code, stderr } = await retype(name, topology);
    expect(stderr).toContain('spec.topology is immutable');
    expect(stderr).toContain('create a new tenant with the other topology, and copy the sessions to its volume');
    expect(code).not.toBe(0);
  });

  it('but not one of the topology that comes to the same', async () => {
    expect(await retype('changing', 'Sticky')).toMatchObject({ code: 0 });
  });

  const change = (name: string, storage: unknown) =>
    api.kubectl.try([
      'patch',
      `ct/${name}`,
      '--dry-run=server',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { storage } }),
    ]);

  it.each<[string, string, unknown, string]>([
    ['that shrinks the volume', 'changing', { size: '1Gi' }, 'spec.storage.size must not be below'],
    ['of the storage class', 'changing', { storageClassName: 'slow' }, 'spec.storage.storageClassName is immutable'],
    [
      'to the default storage class',
      'changing',
      { storageClassName: null },
      'spec.storage.storageClassName is immutable',
    ],
    ['from the default storage class', 'default-class', { storageClassName: 'fast' }, 'storageClassName is immutable'],
    ['of the access mode', 'changing', { accessMode: 'ReadWriteOncePod' }, 'spec.storage.accessMode is immutable'],
  ])('%s', async (_case, name, storage, message) => {
    const { code, stderr } = await change(name, storage);
    expect(stderr).toContain(message);
    expect(code).not.toBe(0);
  });

  it.each<[string, unknown]>([
    ['that grows the volume', { size: '3Gi' }],
    ['that writes the same size in another way', { size: '2048Mi' }],
    ['of the reclaim policy', { reclaimPolicy: 'Delete' }],
  ])('but not one %s', async (_case, storage) => {
    expect(await change('changing', storage)).toMatchObject({ code: 0 });
  });
});
