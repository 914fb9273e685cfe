// The whole chart, including the CRDs, rendered and applied: no kubectl diff finds a difference.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { objectsOf, render } from '../../support/chart.ts';
import { kubectlWith, type Kubectl } from '../../support/tools.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

/**
 * How a client-side apply is looked at on the server's side: under its own name, or kubectl would write its annotation anew, which is a
 * difference of its own making; and what differs is a difference and no conflict.
 */
const AS_BEFORE = ['--server-side', '--force-conflicts', '--field-manager=kubectl-client-side-apply'];

describe.each([
  ['kubectl apply --server-side', ['--server-side'], [['--server-side'], []]],
  ['kubectl apply', [], [AS_BEFORE, []]],
])('the chart after %s', (_command, flags, looks) => {
  let server: ApiServer;
  let kubectl: Kubectl;
  let chart: string;

  beforeAll(async () => {
    server = await startApiServer();
    kubectl = kubectlWith(server.kubeconfig());
    await kubectl.ok(['create', 'namespace', 'operators']);
    chart = await render();
    expect(objectsOf(chart).filter(({ kind }) => kind === 'CustomResourceDefinition')).toHaveLength(2);
    await kubectl.ok(['apply', ...flags, '-f', '-'], chart);
    await kubectl.ok(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
  });
  afterAll(() => server.stop());

  it.each(looks.map((look) => [['kubectl diff', ...look].join(' '), look] as const))(
    'differs in nothing by %s, and what changes is seen',
    async (_name, look) => {
      const diff = (manifests: string) => kubectl.try(['diff', ...look, '-f', '-'], manifests);
      expect(await diff(chart)).toEqual({ code: 0, stdout: '', stderr: '' });
      const { code, stdout } = await diff(
        chart.replace('description: Sessions on the volumes.', 'description: Changed.'),
      );
      expect(code).toBe(1);
      expect(stdout).toContain('description: Changed.');
    },
  );
});
