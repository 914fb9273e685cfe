// The whole chart, CRDs included, as somebody applies it who renders it: no kubectl diff sees a difference.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startApiServer, type ApiServer } from '../../support/apiserver.ts';
import { objectsOf, render } from '../../support/chart.ts';
import { kubectlWith, type Kubectl } from '../../support/tools.ts';

// Each starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

const SERVER_SIDE = ['--server-side'];
const CLIENT_SIDE: string[] = [];

describe.each([
  ['kubectl apply --server-side', SERVER_SIDE],
  ['kubectl apply', CLIENT_SIDE],
])('the chart after %s', (_command, flags) => {
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

  it.each([
    ['kubectl diff --server-side', SERVER_SIDE],
    ['kubectl diff', CLIENT_SIDE],
  ])('differs in nothing by %s, and what changes is seen', async (_name, how) => {
    const diff = (manifests: string) => kubectl.try(['diff', ...how, '-f', '-'], manifests);
    expect(await diff(chart)).toEqual({ code: 0, stdout: '', stderr: '' });
    const { code, stdout } = await diff(
      chart.replace('description: Sessions on the volumes.', 'description: Changed.'),
    );
    expect(code).toBe(1);
    expect(stdout).toContain('description: Changed.');
  });
});
