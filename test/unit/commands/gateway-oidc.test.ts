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

const issuersIn = (file: string) =>
  readIssuers(file, {
    clock: new FakeClock(),
    log: { info: () => undefined, warn: () => undefined },
    observer: { readKeys: () => undefined },
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
