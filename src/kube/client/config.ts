/** Where the API server is and how to authenticate: kubeconfig or the service account of the pod. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
// The one place that loads client-node at run time: 0.4 s and 40 MB (docs/adr/0002-transport.md).
import { type Cluster, type Context, KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../clock/clock.ts';
import { ConfigError, toError } from '../types/errors.ts';
import { proxyFor, type ProxySetting } from './proxy.ts';

/** Credentials and TLS settings, as of one moment. */
export interface Auth {
  headers: Record<string, string>;
  tls: {
    ca?: string | Buffer;
    cert?: string | Buffer;
    key?: string | Buffer;
    rejectUnauthorized?: boolean;
    servername?: string;
  };
  /** Of `tls`: connections with another fingerprint must not be used any more. */
  fingerprint: string;
}

/** How to reach the API server and authenticate, kept current. */
export interface Credentials {
  readonly server: URL;
  /** Where requests go through; absent: straight to the server. */
  readonly proxy?: ProxySetting | undefined;
  /** The namespace of the context or of the pod; `default` if there is none. */
  readonly namespace: string;
  /** Cheap, and mostly at once. Token files and exec plugins are read again every few seconds, so that a rotation is usually noticed before a 401. */
  get(): Auth | Promise<Auth>;
  /** Reads everything again, because the server refused `stale`; concurrent callers share one read. */
  refresh(stale: Auth): Promise<Auth>;
}

/** Where to find the configuration. */
export interface ConfigOptions {
  clock: Clock;
  /** Path of a kubeconfig. Default: `KUBECONFIG`, else the pod's service account, else `~/.kube/config`. */
  kubeconfig?: string | undefined;
  /** Context of the kubeconfig. Default: its current one. */
  context?: string | undefined;
  /** Prefix of `/var/run/secrets/kubernetes.io/serviceaccount`, for tests. */
  serviceAccountRoot?: string | undefined;
}

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';
/** How long headers are kept: client-node reads every file synchronously each time. */
const KEEP_MS = 10_000;
/** How long an exec plugin may take, in ms: less than the default deadline of a request, so that its caller reports the cause. */
const READ_TIMEOUT_MS = 20_000;

/** Throws a ConfigError that names what is missing if there is no usable configuration. */
export function loadConfig(options: ConfigOptions): Credentials {
  return new KubeConfigCredentials(options);
}

class KubeConfigCredentials implements Credentials {
  readonly server: URL;
  readonly proxy: ProxySetting | undefined;
  readonly namespace: string;
  readonly #options: ConfigOptions;
  #config: KubeConfig;
  #auth: Auth | undefined;
  #readAt = -Infinity;
  #reading: Promise<Auth> | undefined;

  constructor(options: ConfigOptions) {
    this.#options = options;
    this.#config = readConfig(options);
    const { cluster, context } = currentOf(this.#config);
    this.server = new URL(cluster.server);
    this.proxy = proxyFor(this.server, cluster.proxyUrl, process.env);
    this.namespace = context.namespace?.trim() || 'default';
  }

  get(): Auth | Promise<Auth> {
    if (this.#reading) return this.#reading;
    if (this.#auth && this.#options.clock.monotonic() - this.#readAt < KEEP_MS) return this.#auth;
    return this.#read();
  }

  async refresh(stale: Auth): Promise<Auth> {
    // A caller with older credentials gets the newer ones, or joins the read in progress.
    const current = this.#reading ? await this.#reading : this.#auth;
    if (current && current !== stale) return current;
    if (!this.#reading) {
      // client-node keeps tokens in the KubeConfig (a minute for files, until they expire for plugins): only a new one forgets them.
      this.#config = readConfig(this.#options);
    }
    return await this.#read();
  }

  async #read(): Promise<Auth> {
    this.#reading ??= this.#inTime(authOf(this.#config))
      .then((auth) => {
        // The same content stays the same object: `refresh` compares by identity.
        if (!this.#auth || !isDeepStrictEqual(auth, this.#auth)) this.#auth = auth;
        this.#readAt = this.#options.clock.monotonic();
        return this.#auth;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return await this.#reading;
  }

  /** A plugin that hangs is given up, and started again by the next call: every later one would wait for it too. */
  async #inTime(pending: Promise<Auth>): Promise<Auth> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = this.#options.clock.setTimer(READ_TIMEOUT_MS, () => {
      // The old KubeConfig would go on waiting for the same plugin.
      this.#config = readConfig(this.#options);
      reject(
        new Error(`reading the credentials took longer than ${READ_TIMEOUT_MS / 1000} s; is an exec plugin hanging?`),
      );
    });
    try {
      return await Promise.race([pending, late]);
    } finally {
      timer.cancel();
    }
  }
}

function readConfig({ kubeconfig, context, serviceAccountRoot = '' }: ConfigOptions): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig) {
    fromFile(kubeconfig, () => config.loadFromFile(kubeconfig));
  } else if (process.env['KUBECONFIG']) {
    fromFile(process.env['KUBECONFIG'], () => config.loadFromDefault());
  } else if (existsSync(serviceAccountRoot + SERVICE_ACCOUNT_TOKEN)) {
    config.loadFromCluster(serviceAccountRoot);
  } else if (existsSync(join(homedir(), '.kube', 'config'))) {
    config.loadFromDefault();
  } else {
    throw new ConfigError(
      'no Kubernetes configuration: set KUBECONFIG, or run in a pod with a service account token, or create ~/.kube/config',
    );
  }
  if (context) config.setCurrentContext(context);
  const { cluster } = currentOf(config);
  // client-node rejects a plain http server; here it is a local proxy or a development server.
  if (cluster.server.startsWith('http:')) {
    config.clusters = config.clusters.map((c) => (c.name === cluster.name ? { ...c, skipTLSVerify: true } : c));
  }
  return config;
}

// client-node's message lacks the path of the file.
function fromFile(path: string, load: () => void): void {
  try {
    load();
  } catch (error) {
    throw new ConfigError(`kubeconfig ${path}: ${toError(error).message}`, { cause: error });
  }
}

function currentOf(config: KubeConfig): { context: Context; cluster: Cluster } {
  const name = config.getCurrentContext();
  const context = config.getContextObject(name);
  if (!context) {
    const known = config.getContexts().map((c) => `"${c.name}"`);
    throw new ConfigError(
      `kubeconfig: context "${name}" does not exist; existing contexts: ${known.join(', ') || 'none'}`,
    );
  }
  const cluster = config.getCluster(context.cluster);
  if (!cluster)
    throw new ConfigError(`kubeconfig: context "${name}" refers to cluster "${context.cluster}", which does not exist`);
  if (!URL.canParse(cluster.server)) {
    throw new ConfigError(`kubeconfig: cluster "${cluster.name}": server "${cluster.server}" is not a URL`);
  }
  return { context, cluster };
}

async function authOf(config: KubeConfig): Promise<Auth> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const tls: Auth['tls'] = {};
  const { ca, cert, key, rejectUnauthorized, servername } = options as Auth['tls'];
  if (ca) tls.ca = ca;
  if (cert) tls.cert = cert;
  if (key) tls.key = key;
  if (rejectUnauthorized !== undefined) tls.rejectUnauthorized = rejectUnauthorized;
  if (servername) tls.servername = servername;
  return { headers, tls, fingerprint: createHash('sha256').update(JSON.stringify(tls)).digest('hex') };
}
