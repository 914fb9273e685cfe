import { describe, expect, it } from '@jest/globals';
import { proxyFor } from '../../../../src/kube/client/proxy.ts';
import { ConfigError } from '../../../../src/kube/types/errors.ts';

const PROXY = 'http://proxy.example.com:3128';

/** The proxy to a server, as text. */
function used(server: string, env: Record<string, string>, proxyUrl?: string): string | undefined {
  return proxyFor(new URL(server), proxyUrl, env)?.url.href;
}

describe('the proxy to the API server', () => {
  it.each<[string, string, Record<string, string>, string | undefined]>([
    ['that of HTTPS_PROXY', 'https://10.0.0.1', { HTTPS_PROXY: PROXY }, `${PROXY}/`],
    ['that of https_proxy', 'https://10.0.0.1', { https_proxy: PROXY }, `${PROXY}/`],
    [
      'that of HTTPS_PROXY before the other',
      'https://10.0.0.1',
      { HTTPS_PROXY: PROXY, https_proxy: 'http://x' },
      `${PROXY}/`,
    ],
    ['none of HTTP_PROXY for https', 'https://10.0.0.1', { HTTP_PROXY: PROXY }, undefined],
    ['that of HTTP_PROXY for http', 'http://10.0.0.1', { HTTP_PROXY: PROXY, HTTPS_PROXY: 'http://x' }, `${PROXY}/`],
    ['http without a scheme', 'https://10.0.0.1', { HTTPS_PROXY: 'proxy.example.com:3128' }, `${PROXY}/`],
    ['a SOCKS proxy', 'https://10.0.0.1', { HTTPS_PROXY: 'socks5h://proxy:1080' }, 'socks5://proxy:1080'],
    ['none without a setting', 'https://10.0.0.1', {}, undefined],
    ['none for an empty one', 'https://10.0.0.1', { HTTPS_PROXY: '' }, undefined],
    ['none to localhost', 'https://localhost:6443', { HTTPS_PROXY: PROXY }, undefined],
    ['none to a loopback address', 'https://127.1.2.3:6443', { HTTPS_PROXY: PROXY }, undefined],
    ['none to ::1', 'https://[::1]:6443', { HTTPS_PROXY: PROXY }, undefined],
  ])('is %s', (_, server, env, expected) => {
    expect(used(server, env)).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['*', 'https://api.example.com', true],
    ['10.0.0.1', 'https://10.0.0.1', true],
    ['10.0.0.1', 'https://10.0.0.2', false],
    ['10.96.0.0/12', 'https://10.96.0.1:443', true],
    ['10.96.0.0/12', 'https://10.112.0.1:443', false],
    ['fd00::/8', 'https://[fd00::1]', true],
    ['[fd00::1]:443', 'https://[fd00::1]', true],
    ['fd00::1', 'https://[fd00::2]', false],
    ['example.com', 'https://example.com', true],
    ['example.com', 'https://api.example.com', true],
    ['example.com', 'https://notexample.com', false],
    ['.example.com', 'https://api.example.com', true],
    ['.example.com', 'https://example.com', false],
    ['*.example.com', 'https://api.example.com', true],
    ['EXAMPLE.com', 'https://api.Example.COM', true],
    ['api.example.com:6443', 'https://api.example.com:6443', true],
    ['api.example.com:6443', 'https://api.example.com', false],
    ['api.example.com:443', 'https://api.example.com', true],
    ['other.com, .svc ,10.0.0.0/8', 'https://kubernetes.default.svc', true],
    ['not/a/range', 'https://10.0.0.1', false],
    ['10.0.0.0/99', 'https://10.0.0.1', false],
    ['', 'https://10.0.0.1', false],
  ])('with NO_PROXY=%s and the server %s: no proxy is %s', (noProxy, server, none) => {
    expect(used(server, { HTTPS_PROXY: PROXY, NO_PROXY: noProxy })).toBe(none ? undefined : `${PROXY}/`);
    expect(used(server, { https_proxy: PROXY, no_proxy: noProxy })).toBe(none ? undefined : `${PROXY}/`);
  });

  it('of the kubeconfig comes first, and NO_PROXY does not apply to it', () => {
    const env = { HTTPS_PROXY: 'http://other', NO_PROXY: '*' };
    expect(proxyFor(new URL('https://10.0.0.1'), PROXY, env)).toMatchObject({ from: 'proxy-url' });
    expect(used('https://localhost', env, PROXY)).toBe(`${PROXY}/`);
  });

  it.each(['ftp://proxy', 'http://', '://', 'http://a b'])('refuses %s without repeating it', (value) => {
    const find = (): unknown => proxyFor(new URL('https://10.0.0.1'), undefined, { HTTPS_PROXY: value });
    expect(find).toThrow(ConfigError);
    expect(find).toThrow(/^HTTPS_PROXY is not the URL of an http, https or socks5 proxy/);
  });
});
