// The import rules of the architecture (docs/architecture.md): a part may import only what stands below it, and so may
// a room or a file within a part. They are a test and not a lint rule because the rule set is a table and reads as one.
import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');

/** What each part of `src` may import of the project, itself aside. `main.ts` may import everything. */
const allowed: Record<string, readonly string[]> = {
  api: [],
  kube: [],
  copilot: [],
  resources: ['api', 'kube', 'copilot'],
  servers: ['api', 'kube', 'copilot'],
  tenant: ['api', 'kube', 'copilot', 'resources', 'servers'],
  session: ['api', 'kube', 'copilot', 'resources', 'servers'],
  gateway: ['api', 'kube', 'copilot', 'resources', 'servers'],
  guard: ['api', 'kube', 'copilot', 'resources'],
  cleanup: ['api', 'kube', 'copilot', 'resources'],
  commands: ['api', 'kube', 'copilot', 'resources', 'servers', 'tenant', 'session', 'gateway', 'guard', 'cleanup'],
};

/**
 * The layers of a part or of a folder in it, the lowest first: names of folders, and of files without `.ts`. What is in one
 * layer imports neither what is above it nor its neighbours in the layer. A folder without an entry has no layers yet.
 */
const layers: Record<string, readonly (readonly string[])[]> = {
  kube: [['clock', 'types'], ['client'], ['cache'], ['write'], ['runtime']],
  'kube/clock': [['abort', 'coalesce'], ['clock'], ['backoff', 'timer-queue', 'watchdog']],
  'kube/types': [
    ['types', 'keys', 'quantity', 'resource-version', 'time'],
    ['errors', 'resource', 'slim'],
    ['builtins', 'not-found', 'owner'],
  ],
  'kube/client': [
    ['call-context', 'call-limit', 'proxy', 'retry', 'slim-json'],
    ['config', 'response', 'watch'],
    ['exchange', 'pool'],
    ['transport'],
    ['client'],
  ],
  'kube/cache': [
    ['availability', 'deep-freeze', 'lru', 'outage', 'relist', 'store', 'structural-sharing'],
    ['reflector-options', 'version-guard'],
    ['reflector'],
    ['informer'],
  ],
  'kube/write': [
    [
      'as-desired',
      'conditions',
      'finalizer',
      'hash',
      'managed-fields',
      'merge-keys',
      'normalizations',
      'recent-writes',
      'refusal',
    ],
    ['diff', 'drift-backoff', 'status'],
    ['desired-child'],
    ['forced-apply'],
    ['apply'],
  ],
  'kube/runtime': [
    [
      'event-correlator',
      'gathered-lines',
      'keyed-tls',
      'lease-spec',
      'listen',
      'predicates',
      'process',
      'resync',
      'return-memory',
      'runnables',
      'work-queue',
    ],
    ['health-server', 'internal-port', 'metrics'],
    ['leader-election'],
    ['controller', 'events'],
    ['manager'],
    ['builder'],
  ],
  api: [
    ['names', 'duration', 'session-id', 'conditions', 'session-conditions'],
    ['fields'],
    ['structural', 'scheduling', 'model', 'pods', 'rates', 'tenant-status', 'session'],
    ['network', 'server'],
    ['tenant'],
    ['crd'],
  ],
  copilot: [
    ['blocks', 'bytes', 'errors', 'session', 'session-id', 'deadline', 'redactor', 'wire'],
    ['frame-header', 'message'],
    ['framing'],
    ['pending-requests', 'frame-batch', 'frame-connection', 'scan'],
    ['peer'],
    ['event-run'],
    ['client'],
    ['answer'],
    ['server-calls', 'session-calls', 'journal'],
    ['activity', 'usage', 'write-check'],
    ['index'],
  ],
  servers: [
    ['call-timeout', 'connection-share', 'dial-pacer', 'retry'],
    ['connection', 'schedule'],
    ['server'],
    ['registry'],
    ['health', 'survey'],
  ],
  resources: [
    [
      'binding',
      'cleanup-result',
      'credential',
      'event-warning',
      'gateway-internal',
      'guard-protocol',
      'job',
      'key-secret',
      'operator-internal',
      'permission',
      'pod-fate',
      'quote',
      'session',
      'session-grant',
      'session-removal',
      'sweep-request',
      'tenant',
    ],
    ['grant-keys', 'names', 'pod', 'pod-fates', 'session-holder', 'session-index', 'session-ttl'],
    ['cleanup-pod', 'connection-token', 'guard-client', 'ttl-rule'],
    ['session-policies', 'termination-message'],
  ],
  session: [
    ['builders', 'metrics', 'model', 'places', 'session-state', 'survey-watches', 'tenant-lookup', 'transitions'],
    ['decisions', 'servers', 'startup-grace'],
    ['labeller', 'locks', 'plan', 'status', 'status-writer'],
    ['removal'],
    ['reconciler'],
    ['controller'],
  ],
  guard: [
    ['fence', 'key-file', 'lane', 'line', 'partial-frames', 'refusal-log', 'room', 'scan-call', 'server-watch'],
    ['methods', 'stamps'],
    ['refusals', 'stamp-disk'],
    ['fence-log'],
    ['sessions'],
    ['client-frames', 'server-frames'],
    ['pair'],
    ['guard'],
  ],
  cleanup: [
    ['model', 'file-tree', 'file-system-usage'],
    ['policies', 'stub', 'failure'],
    ['tree-removal'],
    ['volume'],
    ['report'],
    ['context'],
    ['on-volume', 'through-server', 'sweep'],
    ['run'],
  ],
  gateway: [
    ['model', 'pong', 'count-by-state', 'followed-files', 'login-names', 'members', 'secret-keys', 'wake-asker'],
    ['pauses'],
    ['locks', 'ownership', 'peers'],
    ['admission', 'methods', 'relay', 'routing'],
    ['client'],
    ['forward', 'listen'],
    ['report'],
    ['gateway'],
  ],
  'gateway/admission': [
    ['binding-credential', 'jwt', 'lane', 'token', 'user'],
    ['verdict-cache'],
    ['reviews'],
    ['admission', 'internal-access'],
    ['oidc'],
  ],
  'gateway/admission/oidc': [
    ['config', 'http', 'key-reads', 'refusal'],
    ['claims', 'key-source'],
    ['keys'],
    ['issuer'],
    ['issuers'],
  ],
  'gateway/client': [
    ['keepalive', 'left-memory', 'socket', 'state', 'token-bucket', 'unread-memory'],
    ['rates'],
    ['frame-memory', 'half-open', 'handshake', 'model', 'request-id'],
    ['departure', 'outgoing', 'oversize', 'recheck', 'throttle', 'token-check'],
    ['authentication', 'incoming'],
    ['greeting'],
    ['connection'],
    ['clients'],
  ],
  'gateway/listen': [['certificates', 'proxy-protocol'], ['source'], ['listener']],
  'gateway/report': [
    ['audit', 'bounded-names', 'counted-rules', 'series', 'server-load', 'views'],
    ['coordination-metrics', 'forward-metrics', 'internal-server', 'metrics', 'peer-metrics', 'relay-metrics'],
  ],
  'gateway/methods': [
    ['reasons', 'param-reasons', 'harmless-tools'],
    ['line', 'param-line', 'repeatable', 'trusted', 'forced'],
    ['table', 'params'],
    ['lines', 'param-lines'],
    ['param-rules'],
    ['rules'],
  ],
  'gateway/relay': [
    ['in-turn', 'kept-memory', 'nobody', 'observer', 'questions', 'timers'],
    ['model'],
    ['held-calls', 'journal', 'refusals'],
    ['server', 'turns'],
    ['fence', 'listing', 'setup'],
    ['asking'],
    ['session'],
    ['injection', 'limits'],
    ['failover'],
    ['home'],
    ['tenant'],
    ['clients'],
    ['relay'],
  ],
  'gateway/relay/journal': [
    ['events', 'facts'],
    ['journal-end', 'recovery', 'seen-event', 'trail'],
    ['find-questions'],
  ],
  'gateway/relay/server': [
    ['outage', 'server-answer', 'silence'],
    ['calls', 'held-back', 'openers', 'server-frames'],
    ['server-intake'],
    ['server-attempt'],
    ['upstream'],
  ],
  'gateway/relay/turns': [['prompts', 'turn', 'turn-end', 'turn-use']],
  'gateway/relay/setup': [['attached', 'declarations', 'replay'], ['client-state']],
  'gateway/relay/asking': [
    ['answers-in-turn', 'asking-calls', 'first-asked', 'given-answers', 'requests'],
    ['asked', 'expected', 'wait'],
    ['waits'],
    ['session-questions'],
  ],
  'gateway/relay/listing': [['ask-servers', 'merge', 'owners'], ['session-list']],
  'gateway/relay/fence': [['decide-leaving', 'decide-left', 'grants', 'settling'], ['left-places'], ['fence']],
  'gateway/relay/session': [
    ['aliases', 'call-order', 'delivery', 'load-state'],
    ['session-events'],
    ['session'],
    ['under-way'],
  ],
  'gateway/relay/injection': [['injected', 'injection']],
  'gateway/relay/limits': [
    ['least-used', 'turn-order'],
    ['places', 'turn-slots'],
  ],
  'gateway/relay/failover': [['recover-turn'], ['answered-tools'], ['loading', 'recovered-turns'], ['failover']],
  'gateway/relay/home': [
    ['drain', 'server-messages', 'server-time', 'unloading'],
    ['session-calls'],
    ['catch-up', 'moves'],
    ['drain-work', 'options', 'take-over'],
    ['home'],
    ['go-on'],
  ],
  'gateway/relay/tenant': [
    ['last-uses', 'placement', 'quota', 'session-places', 'shared-servers', 'summaries', 'wake-gate'],
    ['tenant-homes'],
  ],
  'gateway/relay/clients': [
    ['attach', 'client-answers', 'client-moves', 'client-questions', 'everywhere', 'waiting-calls'],
    ['isolated', 'open-requests'],
    ['replies', 'request-admission'],
    ['forwarding'],
    ['client-prompts'],
    ['attachments'],
    ['client-calls'],
    ['call-route'],
    ['client'],
  ],
  'gateway/relay/questions': [['reasons'], ['events', 'requests']],
  'gateway/forward': [
    ['limits', 'messages', 'observer', 'restore', 'seen-session'],
    ['between-homes', 'declared', 'held-frames', 'leg', 'peer-stream'],
    ['resident', 'forward-leg', 'held-expiry', 'own-requests', 'restoring'],
    ['stay'],
    ['forwarded-client', 'residents', 'routed-client'],
    ['routed-relay'],
  ],
  'gateway/peers': [
    ['messages', 'model', 'peer-observer', 'rank', 'waiting'],
    ['control-stream', 'greeting', 'sole-replica', 'state'],
    ['dial', 'lease', 'membership', 'peer-server'],
    ['claims', 'expire-lease', 'link', 'own-lease'],
    ['core'],
    ['gateway-peers'],
  ],
  'gateway/locks': [
    ['observer', 'sole-gateway', 'store'],
    ['availability', 'observed-store', 'record'],
    ['kubernetes', 'memory-store', 'redis'],
  ],
  'gateway/locks/kubernetes': [['explain', 'session-lease'], ['leases'], ['kubernetes-store']],
  'gateway/locks/redis': [
    ['address', 'checks', 'keys', 'scripts'],
    ['client', 'explain'],
    ['connection'],
    ['redis-store'],
    ['open-redis-store'],
  ],
  'gateway/ownership': [['decide', 'stamp'], ['records']],
  'gateway/routing': [
    ['owner-chain', 'serving', 'slim'],
    ['known-models', 'known-pods'],
    ['fleet'],
    ['add-fleet', 'gone-tenants'],
  ],
  commands: [
    ['flags', 'permission'],
    ['gateway', 'guard', 'operator', 'cleanup', 'ping', 'crds', 'export'],
  ],
  tenant: [
    [
      'model',
      'ask-gateway',
      'gateway-replicas',
      'pods',
      'hash-slot',
      'place-queue',
      'refused-writes',
      'transitions',
      'wakes',
      'wake-server',
    ],
    ['deployments', 'gateway-clients'],
    ['evictions', 'open-run'],
    ['builders', 'decisions', 'targets', 'transforms'],
    ['nodes', 'pod-owners'],
    [
      'child-writer',
      'client-access',
      'observe',
      'orphaned-token',
      'read-servers',
      'server-template',
      'sessions',
      'tenant-budget',
    ],
    ['cleanup', 'fleet', 'running-plan', 'steady-state', 'token-plan', 'world'],
    ['volume-checks'],
    ['ended-pods', 'metrics', 'server-plan'],
    ['drain-plan', 'first-ready', 'hibernation'],
    ['gateway-drains', 'rollout-plan'],
    ['plan'],
    ['gateway-rights'],
    ['apply', 'redaction', 'status-writer'],
    ['action-events', 'planner', 'status'],
    ['throttled-status'],
    ['reconciler'],
    ['controller'],
  ],
};

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)\s*import\s+'([^']+)'/g;

function importsOf(source: string): string[] {
  return [...source.matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** The path of a file below `src`, without `.ts`. */
function placeOf(file: string): string[] {
  return relative(join(root, 'src'), file).replace(/\.ts$/, '').split('/');
}

/** The broken rules of one file, as sentences; a pure function so that the rule itself is tested below. */
function violations(file: string, source: string): string[] {
  const place = placeOf(file);
  const [part = ''] = place;
  if (place.length === 1) return [];
  return importsOf(source).flatMap((target) => {
    if (target.startsWith('@kubernetes/client-node')) {
      const typeOnly = !new RegExp(`import\\s+(?!type)[^;]*'${target}'`).test(source);
      return typeOnly || file.endsWith('src/kube/client/config.ts')
        ? []
        : [`${part}: only src/kube/client/config.ts loads ${target} at run time`];
    }
    if (!target.startsWith('.')) return [];
    const imported = placeOf(resolve(dirname(file), target));
    const what = `${relative(root, file)} imports ${target}`;
    if (imported[0] !== part) {
      const may = allowed[part] ?? [];
      return may.includes(imported[0] ?? '') ? [] : [`${what}: '${part}' may import ${[part, ...may].join(', ')}`];
    }
    const depth = place.findIndex((name, index) => name !== imported[index]);
    const [name = '', below = ''] = [place[depth], imported[depth]];
    return isBelow(place.slice(0, depth).join('/'), name, below) ? [] : [`${what}: '${below}' is not below '${name}'`];
  });
}

/** Whether the layers of a folder allow that `name` imports `imported`, both in it. */
function isBelow(folder: string, name: string, imported: string): boolean {
  const rows = layers[folder];
  if (rows === undefined) return true;
  const layerOf = (each: string) => rows.findIndex((row) => row.includes(each));
  return layerOf(imported) !== -1 && layerOf(imported) < layerOf(name);
}

function sourceFiles(): string[] {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(root, 'src', name));
}

describe('the import rules', () => {
  it('are kept by every file of src', () => {
    expect(sourceFiles().flatMap((file) => violations(file, readFileSync(file, 'utf8')))).toEqual([]);
  });

  it('are those of docs/architecture.md', () => {
    const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `(\w+)\/` +\|.*\| ([^|]+?) +\|$/gm)];
    const named = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, part = '']) => part);
    expect(Object.fromEntries(rows.map(([, part = '', cell = '']) => [part, named(cell)]))).toEqual(allowed);
  });

  it('know every part of src', () => {
    const parts = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(parts.map((entry) => entry.name).toSorted()).toEqual(Object.keys(allowed).toSorted());
  });

  it.each(Object.entries(layers))('give everything in %s its layer', (part, rows) => {
    const names = readdirSync(join(root, 'src', part)).map((name) => name.replace(/\.ts$/, ''));
    expect(names.toSorted()).toEqual(rows.flat().toSorted());
  });

  it.each([
    ['src/kube/client/client.ts', `import { x } from '../../api/tenant.ts';`],
    ['src/copilot/errors.ts', `import type { P } from '../servers/health/pinger.ts';`],
    ['src/api/tenant.ts', `export * from '../main.ts';`],
    ['src/tenant/status.ts', `const m = await import('../session/controller.ts');`],
    ['src/kube/client/client.ts', `import { KubeConfig } from '@kubernetes/client-node';`],
    ['src/kube/cache/store.ts', `import { Applier } from '../write/apply.ts';`],
    ['src/kube/clock/clock.ts', `import type { KubeObject } from '../types/types.ts';`],
    ['src/kube/runtime/metrics.ts', `import { Manager } from './manager.ts';`],
    ['src/kube/write/diff.ts', `import { writeStatus } from './status.ts';`],
    ['src/session/decisions/expiry.ts', `import { locate } from '../servers.ts';`],
    ['src/cleanup/on-volume.ts', `import { isLoaded } from './through-server.ts';`],
    ['src/tenant/decisions/pod.ts', `import type { Plan } from '../plan.ts';`],
    ['src/tenant/builders/cronjob.ts', `import { cleanupScope } from '../cleanup/cleanup-scope.ts';`],
  ])('refuse %s: %s', (file, source) => {
    expect(violations(join(root, file), source)).toHaveLength(1);
  });
});
