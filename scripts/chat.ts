/**
 * Chats with a tenant's server as an application does, from outside the cluster: with the binding Secret, and
 * `kubectl port-forward` in place of a pod.
 *
 *   node scripts/chat.ts [-n NAMESPACE] [--session ID | --resume ID] [--as SERVICEACCOUNT [--user USER]] [--through POD] TENANT PROMPT
 *   node scripts/chat.ts [-n NAMESPACE] --follow ID TENANT
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { GATEWAY_AUDIENCE } from '../src/gateway/admission/reviews.ts';
import { bindingFrom, chat, follow } from '../test/support/chat.ts';
import { portForward } from '../test/support/port-forward.ts';

/** Set for the local cluster, where this runs under `.cluster/bin/enter`. */
const kubectl = process.env['KUBECTL'] ?? 'kubectl';

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      namespace: { type: 'string', short: 'n', default: 'default' },
      session: { type: 'string' },
      resume: { type: 'string' },
      // Says nothing: waits for the answer to what a client has said that was lost.
      follow: { type: 'string' },
      // A ServiceAccount of the tenant's namespace, in place of the binding credential.
      as: { type: 'string' },
      // For whom the ServiceAccount acts.
      user: { type: 'string' },
      // A pod of the gateway, in place of any.
      through: { type: 'string' },
    },
  });
  const [tenant, prompt] = positionals;
  if (tenant === undefined || (prompt === undefined && values.follow === undefined))
    throw new Error(
      'usage: node scripts/chat.ts [-n NAMESPACE] [--session ID | --resume ID | --follow ID] [--as SERVICEACCOUNT [--user USER]] [--through POD] TENANT [PROMPT]',
    );

  const secret = ['get', 'secret', `${tenant}-binding`, '--namespace', values.namespace, '--output', 'json'];
  const json = execFileSync(kubectl, secret, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const binding = bindingFrom((JSON.parse(json) as { data: Record<string, string> }).data);

  if (values.as !== undefined) {
    const create = ['create', 'token', values.as, '--namespace', values.namespace, `--audience=${GATEWAY_AUDIENCE}`];
    const token = execFileSync(kubectl, create, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
    const user = values.user === undefined ? '' : `/${encodeURIComponent(values.user)}`;
    binding.token = `${values.namespace}/${tenant}${user}:${token}`;
  }

  // The host is <service>.<namespace>.svc, which only pods resolve. The gateway is in another namespace than the tenant.
  const [service = '', namespace = values.namespace] = binding.host.split('.');
  const target = values.through === undefined ? `service/${service}` : `pod/${values.through}`;
  await using forward = await portForward(kubectl, namespace, target, binding.port);
  const forwarded = { ...binding, host: '127.0.0.1', port: forward.port };
  if (values.follow !== undefined) {
    console.log(`${await follow(forwarded, values.follow)}\n(session ${values.follow}, in the middle of its turn)`);
    return;
  }
  const onDelta = (text: string): unknown => process.stdout.write(text);
  const { sessionId } = await chat(forwarded, {
    prompt: prompt ?? '',
    onDelta,
    ...(values.session !== undefined && { sessionId: values.session }),
    ...(values.resume !== undefined && { resume: values.resume }),
  });
  console.log(`\n(session ${sessionId})`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
