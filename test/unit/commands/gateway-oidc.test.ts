import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readIssuers } from '../../../src/commands/gateway/oidc.ts';
import { ConfigError } from '../../../src/kube/types/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'oidc-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const clock = new FakeClock();
const log: string[] = [];
const issuersIn = (file: string) =>
  readIssuers(file, {
    clock,
    log: { info: (_, message) => log.push(message), warn: (_, message) => log.push(message) },
    observer: { readKeys: () => undefined },
  });
/** A token of the issuer, which nobody has signed. */
const tokenOf = (iss: string) => `e30.${Buffer.from(JSON.stringify({ iss })).toString('base64url')}.x`;
const configOf = (...urls: string[]) =>
  JSON.stringify({
    jwt: urls.map((url) => ({
      issuer: { url, audiences: ['a'] },
      claimMappings: { username: { claim: 'sub', prefix: '' } },
    })),
  });

it('names the flag, the file and the field in what is wrong with --oidc-config', () => {
  const file = join(folder, 'oidc.yaml');
  expect(() => issuersIn(file)).toThrow(ConfigError);
  expect(() => issuersIn(file)).toThrow(`--oidc-config=${file}: ENOENT`);
  writeFileSync(file, 'jwt: [{}]');
  expect(() => issuersIn(file)).toThrow(
    `--oidc-config=${file}: jwt[0].issuer is required; jwt[0].claimMappings is required`,
  );
});

it('reads certificates from the files that --oidc-config names', () => {
  const file = join(folder, 'oidc.yaml');
  const path = join(folder, 'ca.pem');
  writeFileSync(path, 'nothing');
  const issuer = { url: 'https://login.example.com', audiences: ['a'], certificateAuthorityFile: path };
  writeFileSync(file, JSON.stringify({ jwt: [{ issuer, claimMappings: { username: { claim: 'sub', prefix: '' } } }] }));
  expect(() => issuersIn(file)).toThrow(`${path} must have certificates in PEM`);
});

it('follows the file within a minute, keeps the issuers while it cannot be used, and stops with the gateway', async () => {
  const file = join(folder, 'oidc.yaml');
  const [first, second] = ['https://first.example.com', 'https://second.example.com'];
  writeFileSync(file, configOf(first));
  const issuers = issuersIn(file);
  const trusted = () => [first, second].filter((url) => issuers.of(tokenOf(url)) !== undefined);
  expect(trusted()).toEqual([first]);
  writeFileSync(file, configOf(second));
  await clock.advance(60_000);
  expect(trusted()).toEqual([second]);
  writeFileSync(file, 'jwt: [');
  await clock.advance(120_000);
  expect(trusted()).toEqual([second]);
  writeFileSync(file, configOf(first, second));
  await clock.advance(60_000);
  expect(trusted()).toEqual([first, second]);
  expect(log).toEqual([
    'the issuers of OIDC tokens have changed',
    'the new issuers of OIDC tokens cannot be used; those before stay',
    'the issuers of OIDC tokens have changed',
  ]);
  issuers.stop();
  expect(clock.pendingTimers).toBe(0);
});
