/** The environment variables of the server's container. */
import { childName, TOKEN_KEY } from '../../../resources/names.ts';
import type { Container } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';
import { CA_BUNDLE, CACHE, COPILOT_HOME, HOME, WORKSPACE } from './paths.ts';

type EnvVar = NonNullable<Container['env']>[number];

/**
 * Each name once: server-side apply refuses duplicates. The proxy comes after the variables of users, because its address may refer to
 * one of them.
 */
export function environment(tenant: CopilotTenant, revision: number): EnvVar[] {
  const users = usersEnvironment(tenant);
  const setByUser = new Set(users.map(({ name }) => name));
  const own = [
    { name: 'HOME', value: HOME },
    { name: 'COPILOT_HOME', value: COPILOT_HOME },
    { name: 'COPILOT_AUTO_UPDATE', value: 'false' },
    {
      name: 'COPILOT_CONNECTION_TOKEN',
      valueFrom: { secretKeyRef: { name: childName(tenant.metadata.name, 'token'), key: TOKEN_KEY } },
    },
    ...modelEnvironment(tenant),
    ...hostEnvironment(tenant),
    ...(revision >= 2 ? [...CACHES, ...GIT] : []),
  ];
  return [...own.filter(({ name }) => !setByUser.has(name)), ...users, ...proxyEnvironment(tenant)];
}

// A headless server takes a provider from each session and ignores its environment, so a key here would only be exposed to
// the agent (docs/facts.md). The GitHub token only works in the environment.
function modelEnvironment({ spec: { model } }: CopilotTenant): EnvVar[] {
  if (!model?.github) return [];
  const { name, key } = model.github.tokenSecretRef;
  return [{ name: 'COPILOT_GITHUB_TOKEN', valueFrom: { secretKeyRef: { name, key } } }];
}

// By default npm and Go modules fill the home directory. The other two are named as well, so that an XDG_CACHE_HOME of the image does
// not move them.
const CACHES: EnvVar[] = [
  { name: 'npm_config_cache', value: `${CACHE}/npm` },
  { name: 'PIP_CACHE_DIR', value: `${CACHE}/pip` },
  { name: 'GOCACHE', value: `${CACHE}/go-build` },
  { name: 'GOMODCACHE', value: `${CACHE}/go-mod` },
];

// The volume belongs to root, and git refuses to work in a directory of another user.
const GIT: EnvVar[] = [
  { name: 'GIT_CONFIG_COUNT', value: '1' },
  { name: 'GIT_CONFIG_KEY_0', value: 'safe.directory' },
  { name: 'GIT_CONFIG_VALUE_0', value: WORKSPACE },
];

// Both programs add the file to the certificates of the image; SSL_CERT_FILE would replace those (docs/facts.md).
function hostEnvironment({ spec: { server, network } }: CopilotTenant): EnvVar[] {
  return [
    ...(server.githubHost === undefined ? [] : [{ name: 'COPILOT_GH_HOST', value: server.githubHost }]),
    ...(network.caBundle ? [{ name: 'NODE_EXTRA_CA_CERTS', value: `${CA_BUNDLE}/ca.crt` }] : []),
  ];
}

function usersEnvironment({ spec: { server } }: CopilotTenant): EnvVar[] {
  return (server.env ?? []).map(({ name, value, valueFrom }) => ({
    name,
    // The API server does not store an empty value, so one here would be a difference for ever.
    ...(value !== undefined && value !== '' && { value }),
    ...(valueFrom && { valueFrom }),
  }));
}

/** Hosts that need no proxy: both programs would use it for the loopback too, where MCP servers listen. */
const DIRECT = ['localhost', '127.0.0.1', '::1', '.svc', '.cluster.local'];

// In both cases: the servers read either, curl reads http_proxy only, and other tools of the agent differ.
function proxyEnvironment({ spec: { network } }: CopilotTenant): EnvVar[] {
  if (network.proxy === undefined) return [];
  const { httpProxy, httpsProxy, noProxy = [] } = network.proxy;
  const values = { HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy, NO_PROXY: [...DIRECT, ...noProxy].join(',') };
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [name, name.toLowerCase()].map((each) => ({ name: each, value })),
  );
}
