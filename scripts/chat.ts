/**
 * Chats with a tenant as an application does, from outside of the cluster: everything it needs to know is in the binding
 * Secret, and `kubectl port-forward` stands in for being a pod.
 *
 *   node scripts/chat.ts [-n NAMESPACE] [--resume SESSION] TENANT PROMPT
 */
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { bindingFrom, chat } from '../test/support/chat.ts';

/** Takes the cluster's own kubectl for the local cluster, where this runs under `.cluster/bin/enter`. */
const kubectl = process.env['KUBECTL'] ?? 'kubectl';

interface Forward extends Disposable {
  port: number;
}

/** Forwards a free local port to a Service until disposed. */
async function portForward(namespace: string, service: string, port: number): Promise<Forward> {
  const args = ['port-forward', '--namespace', namespace, `service/${service}`, `:${port}`];
  const child = spawn(kubectl, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface(child.stdout)) {
    const local = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (local !== undefined) return { port: Number(local), [Symbol.dispose]: () => void child.kill() };
  }
  throw new Error(`kubectl port-forward to ${namespace}/${service} ended before it forwarded anything (see above)`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { namespace: { type: 'string', short: 'n', default: 'default' }, resume: { type: 'string' } },
  });
  const [tenant, prompt] = positionals;
  if (tenant === undefined || prompt === undefined)
    throw new Error('usage: node scripts/chat.ts [-n NAMESPACE] [--resume SESSION] TENANT PROMPT');

  const secret = ['get', 'secret', `${tenant}-binding`, '--namespace', values.namespace, '--output', 'json'];
  const json = execFileSync(kubectl, secret, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const binding = bindingFrom((JSON.parse(json) as { data: Record<string, string> }).data);

  // The host is <service>.<namespace>.svc, which only pods resolve.
  const [service = ''] = binding.host.split('.');
  using forward = await portForward(values.namespace, service, binding.port);
  const onDelta = (text: string): unknown => process.stdout.write(text);
  const { sessionId } = await chat(
    { ...binding, host: '127.0.0.1', port: forward.port },
    { prompt, onDelta, ...(values.resume !== undefined && { resume: values.resume }) },
  );
  console.log(`\n(session ${sessionId})`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
