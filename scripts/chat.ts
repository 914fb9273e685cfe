/**
 * Chats with a tenant as an application does, from outside of the cluster: everything it needs to know is in the binding
 * Secret, and `kubectl port-forward` stands in for being a pod.
 *
 *   node scripts/chat.ts [-n NAMESPACE] [--resume SESSION] TENANT PROMPT
 */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { parseArgs, promisify } from 'node:util';
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

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { namespace: { type: 'string', short: 'n', default: 'default' }, resume: { type: 'string' } },
});
const [tenant, prompt] = positionals;
if (tenant === undefined || prompt === undefined) {
  console.error('usage: node scripts/chat.ts [-n NAMESPACE] [--resume SESSION] TENANT PROMPT');
  process.exit(2);
}

const secret = ['get', 'secret', `${tenant}-binding`, '--namespace', values.namespace, '--output', 'json'];
const { stdout } = await promisify(execFile)(kubectl, secret);
const binding = bindingFrom((JSON.parse(stdout) as { data: Record<string, string> }).data);

// The host is <service>.<namespace>.svc, which only pods resolve.
const [service = ''] = binding.host.split('.');
using forward = await portForward(values.namespace, service, binding.port);
const { sessionId } = await chat(
  { ...binding, host: '127.0.0.1', port: forward.port },
  {
    prompt,
    ...(values.resume !== undefined && { resume: values.resume }),
    onDelta: (text) => process.stdout.write(text),
  },
);
console.log(`\n(session ${sessionId})`);
