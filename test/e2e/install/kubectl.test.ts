// What a user with nothing but kubectl sees of tenants and sessions.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { crds } from '../../../src/api/crd.ts';
import type { StructuralSchema } from '../../../src/api/structural.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { cliVersion } from '../../support/copilot-binary.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';

jest.setTimeout(3 * READY_MS);

/** The cells of a table of one row, by the titles of their columns. */
function cells(table: string): Record<string, string> {
  const [header = '', row = ''] = table.split('\n');
  const titles = [...header.matchAll(/\S+\s*/g)];
  return Object.fromEntries(
    titles.map(({ 0: title, index }) => {
      // The last column goes on to the end of the line, whatever its title's length.
      const end = index + title.length;
      return [title.trim(), row.slice(index, end === header.length ? undefined : end).trim()];
    }),
  );
}

/** A field as `kubectl explain` lists it. */
interface Explained {
  readonly name: string;
  readonly text: string;
}

/** The fields that `kubectl explain` lists: each begins with its name and type, and what describes it stands indented below. */
function fieldsOf(explained: string): Explained[] {
  const [, listed = ''] = explained.split(/^FIELDS:$/m);
  const paragraphs = listed.split(/\n(?= {2}\S+\t)/).filter((paragraph) => paragraph.trim() !== '');
  return paragraphs.map((paragraph) => {
    const [head = '', ...text] = paragraph.trim().split('\n');
    const words = text.filter((line) => !/^\s*(enum:|$)/.test(line));
    return { name: head.split('\t')[0] ?? '', text: words.join(' ').trim() };
  });
}

/** Every object below a field, itself included, by its path, with the names of its fields. */
function objectsBelow(path: string, schema: StructuralSchema): [string, string[]][] {
  if (schema.items) return objectsBelow(path, schema.items);
  const fields = Object.entries(schema.properties ?? {});
  if (fields.length === 0) return [];
  const below = fields.flatMap(([name, field]) => objectsBelow(`${path}.${name}`, field));
  return [[path, fields.map(([name]) => name)], ...below];
}

describe('kubectl, of a tenant', () => {
  let namespace: TestNamespace;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.createTenant('acme', { server: { binary: 'runtime' } });
    await kubectl('wait', 'ct/acme', '--for=condition=Ready', '--timeout=90s');
  });
  afterAll(() => namespace.close());

  const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);

  it('get -o wide shows address and reason beside the usual columns', async () => {
    expect(cells(await kubectl('get', 'ct', 'acme', '-o', 'wide'))).toEqual({
      NAME: 'acme',
      READY: 'True',
      SERVERS: '1/1',
      // Empty until the server was asked for the first time.
      SESSIONS: expect.stringMatching(/^0?$/),
      HEALTH: 'Healthy',
      VERSION: cliVersion(),
      AGE: expect.stringMatching(/^\d+[smh]/),
      // Clients that connect directly are not known.
      CLIENTS: '',
      ENDPOINT: `acme-0.${namespace.name}.svc:4321`,
      // Without spec.hibernation.
      HIBERNATED: '',
      MESSAGE: expect.stringMatching(/^\S.*\.$/),
    });
  });

  it('get copilot finds it by the category, and by the long names', async () => {
    for (const name of ['copilot', 'copilottenants', 'copilottenant']) {
      expect(await kubectl('get', name, '-o', 'name')).toBe('copilottenant.copilot-operator.dev/acme\n');
    }
  });

  it('describe shows conditions with their reasons, and the events', async () => {
    const described = await kubectl('describe', 'ct', 'acme');
    for (const type of ['Ready', 'Reconciling', 'Stalled', 'Healthy', 'ModelConfigured']) {
      expect(described).toMatch(new RegExp(`^ +Type: +${type}$`, 'm'));
    }
    expect(described).toMatch(/^ +Normal +ServersReady +\S+ +copilot-operator +\S.*\.$/m);
  });

  it('scale changes the number of servers, and wait sees it done', async () => {
    await kubectl('scale', 'ct/acme', '--replicas=3');
    await kubectl('wait', 'ct/acme', '--for=jsonpath={.status.serversReady}=3/3', '--timeout=90s');
    await kubectl('wait', 'ct/acme', '--for=condition=Ready', '--timeout=90s');
    expect(await kubectl('get', 'ct', 'acme', '-o', 'jsonpath={.spec.replicas} {.status.replicas}')).toBe('3 3');
    const selector = await kubectl('get', 'ct', 'acme', '--subresource=scale', '-o', 'jsonpath={.status.selector}');
    expect((await kubectl('get', 'pods', '-l', selector, '-o', 'name')).trim().split('\n')).toHaveLength(3);
  });
});

describe('kubectl, of a session that has had a turn', () => {
  let namespace: TestNamespace;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.createTenant('acme', { server: { binary: 'runtime' }, ...askingTestModel(namespace.name) });
    await namespace.createSession('review', 'acme', { owner: 'alice', participants: ['bob'], ttl: '720h' });
    await ModelInCluster.start(namespace);
    await namespace.waitForReady('acme');
    await say(namespace, 'acme', { prompt: 'Hello', sessionId: 'review' });
    await namespace.waitForSession(
      'review',
      'is Idle and reports its usage',
      ({ status }) => status?.phase === 'Idle' && status.usage?.turns === 1 && (status.sizeBytes ?? 0) > 0,
    );
  });
  afterAll(() => namespace.close());

  const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);
  const usual = {
    NAME: 'review',
    TENANT: 'acme',
    READY: 'True',
    PHASE: 'Idle',
    TURNS: '1',
    'LAST-ACTIVITY': expect.stringMatching(/^\d+[smh]/),
    AGE: expect.stringMatching(/^\d+[smh]/),
  };

  it('get shows its tenant, its phase and its last activity', async () => {
    expect(cells(await kubectl('get', 'csn', 'review'))).toEqual(usual);
  });

  it('get -o wide shows owner, server, size, tokens, expiry and message beside the usual columns', async () => {
    expect(cells(await kubectl('get', 'csn', 'review', '-o', 'wide'))).toEqual({
      ...usual,
      OWNER: 'alice',
      HOLDER: '',
      SERVER: 'acme-0',
      BYTES: expect.stringMatching(/^\d{4,}$/),
      'INPUT-TOKENS': expect.stringMatching(/^[1-9]\d*$/),
      'OUTPUT-TOKENS': expect.stringMatching(/^[1-9]\d*$/),
      EXPIRES: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      MESSAGE: expect.stringMatching(/^The session is on server acme-0.*\.$/),
    });
  });

  it('get copilot finds it beside its tenant, and the long names find it too', async () => {
    expect((await kubectl('get', 'copilot', '-o', 'name')).trim().split('\n')).toEqual([
      'copilotsession.copilot-operator.dev/review',
      'copilottenant.copilot-operator.dev/acme',
    ]);
    for (const name of ['copilotsessions', 'copilotsession']) {
      expect(await kubectl('get', name, '-o', 'name')).toBe('copilotsession.copilot-operator.dev/review\n');
    }
  });

  it('describe shows spec, conditions, place and usage', async () => {
    const described = await kubectl('describe', 'csn', 'review');
    for (const type of ['Ready', 'Reconciling', 'Stalled']) {
      expect(described).toMatch(new RegExp(`^ +Type: +${type}$`, 'm'));
    }
    for (const shown of ['Owner: +alice', 'Deletion Policy: +Delete', 'Ttl: +720h', 'Server: +acme-0', 'Turns: +1']) {
      expect(described).toMatch(new RegExp(`^ *${shown}$`, 'm'));
    }
  });
});

// What the API server serves of the schemas, and kubectl makes of it.
describe('kubectl explain', () => {
  let namespace: TestNamespace;
  beforeAll(async () => void (namespace = await TestNamespace.open()));
  afterAll(() => namespace.close());

  it.each(
    crds().map(({ spec: { names, versions } }): [string, StructuralSchema] => [
      names.shortNames[0] ?? names.plural,
      versions[0]?.schema.openAPIV3Schema ?? {},
    ]),
  )('describes every field of %s', async (kind, schema) => {
    const objects = ['spec', 'status'].flatMap((name) =>
      objectsBelow(`${kind}.${name}`, schema.properties?.[name] ?? {}),
    );
    expect(objects.length).toBeGreaterThan(3);
    for (const [path, names] of objects) {
      const explained = fieldsOf(await namespace.kubectl.ok(['explain', path]));
      expect([path, explained.map(({ name }) => name).toSorted()]).toEqual([path, names.toSorted()]);
      const wanting = explained.filter(({ text }) => !/^[A-Z`].{15,}/.test(text) || text.includes('<no description>'));
      expect([path, wanting]).toEqual([path, []]);
    }
  });
});
