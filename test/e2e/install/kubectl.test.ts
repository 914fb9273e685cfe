// A tenant through the eyes of somebody with kubectl and nothing else.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { cliVersion } from '../../support/copilot-binary.ts';

jest.setTimeout(3 * READY_MS);

let namespace: TestNamespace;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  await namespace.startOperator();
  await namespace.createTenant('acme', { server: { binary: 'runtime' } });
  await kubectl('wait', 'ct/acme', '--for=condition=Ready', '--timeout=90s');
});
afterAll(() => namespace.close());

const kubectl = (...args: string[]) => namespace.kubectl.ok([...args, '-n', namespace.name]);

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

describe('kubectl', () => {
  it('get -o wide tells address and reason beside the usual columns', async () => {
    expect(cells(await kubectl('get', 'ct', 'acme', '-o', 'wide'))).toEqual({
      NAME: 'acme',
      READY: 'True',
      SERVERS: '1/1',
      // Empty until the server was asked for the first time.
      SESSIONS: expect.stringMatching(/^0?$/),
      HEALTH: 'Healthy',
      VERSION: cliVersion(),
      AGE: expect.stringMatching(/^\d+[smh]/),
      ENDPOINT: `acme-0.${namespace.name}.svc:4321`,
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

  it.each([
    ['ct.spec', ['server', 'storage', 'model', 'network', 'health', 'replicas', 'suspend']],
    ['ct.spec.server', ['image', 'binary', 'resources', 'nodeSelector', 'tolerations', 'idleUnload']],
    ['ct.spec.storage', ['size', 'storageClassName', 'reclaimPolicy']],
    ['ct.status', ['conditions', 'endpoint', 'servers', 'observedGeneration']],
  ])('explain %s describes every field', async (path, fields) => {
    const explained = await namespace.kubectl.ok(['explain', path]);
    const [, listed = ''] = explained.split(/^FIELDS:$/m);
    // A field begins with its name and type; what describes it stands indented below.
    const paragraphs = listed.split(/\n(?= {2}\S+\t)/).filter((paragraph) => paragraph.trim() !== '');
    const descriptions = new Map(
      paragraphs.map((paragraph) => {
        const [head = '', ...text] = paragraph.trim().split('\n');
        const words = text.filter((line) => !/^\s*(enum:|$)/.test(line));
        return [head.split('\t')[0], words.join(' ').trim()];
      }),
    );
    expect([...descriptions.keys()]).toEqual(expect.arrayContaining(fields));
    const wanting = [...descriptions].filter(
      ([, text]) => !/^[A-Z`].{15,}/.test(text) || text.includes('<no description>'),
    );
    expect(wanting).toEqual([]);
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
