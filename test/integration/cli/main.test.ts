import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');

/** Runs the program as a user does, without a kubeconfig of the test's environment. */
function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { PATH = '' } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { PATH, HOME: '/nonexistent' },
  });
  return { code: status, out: stdout, err: stderr };
}

const IMAGES = ['--server-image=x', '--operator-image=y'];

describe('the command line', () => {
  it.each([
    [['frobnicate'], 'unknown command "frobnicate": use operator, gateway, guard, ping, cleanup, export, crds or help'],
    [[], 'missing command: use operator, gateway, guard, ping, cleanup, export, crds or help'],
    [['operator'], '--server-image is required'],
    [['operator', ...IMAGES, '--concurrency=0'], '--concurrency=0: must be a whole number above 0'],
    [['operator', ...IMAGES, '--colour'], "Unknown option '--colour'"],
    [['operator', ...IMAGES, '--kubeconfig=/no/such/file'], 'kubeconfig /no/such/file: ENOENT'],
    [['cleanup', '--volume=a=/a'], 'exactly one of --ttl, --delete-session and --sweep is required'],
    [['cleanup', '--ttl=1h'], 'at least one --server'],
    [['export'], 'export requires what to print: aci NAMESPACE/TENANT'],
    [['export', 'aci', 'acme'], 'export aci requires one tenant: NAMESPACE/TENANT'],
    [['export', 'aci', 'team/acme', '--server=-1'], '--server=-1: must be a whole number, 0 or above'],
    [['export', 'aci', 'team/acme'], 'no Kubernetes configuration: set KUBECONFIG'],
    [['operator', ...IMAGES], 'no Kubernetes configuration: set KUBECONFIG'],
  ])('%j is refused in one sentence and with exit code 2', (args, sentence) => {
    const { code, out, err } = run(...args);
    expect(err).toContain(`copilot-operator: ${sentence}`);
    expect(err).not.toMatch(/^\s+at /m);
    expect([code, out]).toEqual([2, '']);
  });

  it('prints the CRDs as YAML', () => {
    const { code, out } = run('crds');
    expect(code).toBe(0);
    expect(out).toContain('name: copilottenants.copilot-operator.dev');
    expect(out).toContain('name: copilotsessions.copilot-operator.dev');
  });
});
