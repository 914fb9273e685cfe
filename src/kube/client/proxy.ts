/** The proxy to the API server: a kubeconfig's proxy-url or the environment, by the rules of client-go and Go's net/http. */
import { BlockList, isIP } from 'node:net';
import { ConfigError } from '../types/errors.ts';

/** A proxy, and where it was set. */
export interface ProxySetting {
  readonly url: URL;
  /** `HTTPS_PROXY`, or `proxy-url` of the kubeconfig. */
  readonly from: string;
}

const PROTOCOLS: readonly string[] = ['http:', 'https:', 'socks5:'];
const DEFAULT_PORT: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/**
 * The proxy for `server`; undefined: none. `proxyUrl` is that of the kubeconfig; NO_PROXY does not apply to it.
 * @throws ConfigError that names the setting, if it is no URL of a proxy
 */
export function proxyFor(
  server: URL,
  proxyUrl: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): ProxySetting | undefined {
  if (proxyUrl) return settingOf(proxyUrl, 'proxy-url');
  const names = server.protocol === 'http:' ? ['HTTP_PROXY', 'http_proxy'] : ['HTTPS_PROXY', 'https_proxy'];
  const from = names.find((name) => env[name]);
  const value = from && env[from];
  if (!from || !value || bypasses(server, env['NO_PROXY'] || env['no_proxy'] || '')) return undefined;
  return settingOf(value, from);
}

function settingOf(value: string, from: string): ProxySetting {
  const text = (value.includes('://') ? value : `http://${value}`).replace(/^socks5h:/, 'socks5:');
  const url = URL.parse(text);
  if (url === null || !PROTOCOLS.includes(url.protocol) || url.hostname === '') {
    // Without the value: it may contain a password.
    throw new ConfigError(
      `${from} is not the URL of an http, https or socks5 proxy, such as http://proxy.example.com:3128`,
    );
  }
  return { url, from };
}

/** Whether requests to this server use no proxy. Local addresses never do. */
function bypasses({ hostname, port, protocol }: URL, noProxy: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || isLoopback(host)) return true;
  const serverPort = port || DEFAULT_PORT[protocol];
  return noProxy
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, serverPort));
}

/** An entry of NO_PROXY: `*`, a range of addresses, an address, a domain with its subdomains, or `.domain` for these only. */
function matches(entry: string, host: string, port: string | undefined): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isIn(host, entry);
  const [, bracketed, plain, entryPort] = /^(?:\[(.+)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? [];
  if (entryPort !== undefined && entryPort !== port) return false;
  const name = bracketed ?? plain ?? '';
  if (isIP(host) !== 0 || isIP(name) !== 0) return isIn(host, `${name}/${isIP(name) === 6 ? 128 : 32}`);
  const domain = name.replace(/^\*/, '');
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function isLoopback(host: string): boolean {
  return isIn(host, '127.0.0.0/8') || isIn(host, '::1/128');
}

function isIn(host: string, range: string): boolean {
  const [network = '', bits = ''] = range.split('/');
  const [version, prefix] = [isIP(network), Number(bits)];
  if (version === 0 || isIP(host) !== version || !/^\d+$/.test(bits) || prefix > (version === 6 ? 128 : 32))
    return false;
  const family = version === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(network, prefix, family);
  return list.check(host, family);
}
