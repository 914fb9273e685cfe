// Connections of clients that were admitted by an OIDC token: real sockets and a real issuer, and a clock that the test moves.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { connect as dial } from 'node:net';
import { stringify } from 'yaml';
import { parseOidcConfig } from '../../../src/gateway/admission/oidc/config.ts';
import { Issuers } from '../../../src/gateway/admission/oidc/issuers.ts';
import type { Reviews } from '../../../src/gateway/admission/reviews.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { GatewayInProcess } from '../../support/gateway.ts';
import { OidcIssuer } from '../../support/oidc-issuer.ts';
import { PrivateCA } from '../../support/private-ca.ts';
import { RawClient } from '../../support/raw-client.ts';
import { waitFor } from '../../support/wait.ts';

let ca: PrivateCA;
let issuer: OidcIssuer;
/** Begins at the time of this machine, by which the issuer makes tokens. */
let clock: FakeClock;
let issuers: Issuers;
let reviewed: string[];
/** How often it was asked for a right, which is the last thing at each look at a connection. */
let looks: number;
let gateway: GatewayInProcess;
let clients: RawClient[];

beforeAll(() => void (ca = new PrivateCA()));
afterAll(() => ca[Symbol.dispose]());

beforeEach(async () => {
  clock = new FakeClock(Date.now());
  reviewed = [];
  looks = 0;
  clients = [];
  issuer = await OidcIssuer.start({ certificate: ca.issue('IP:127.0.0.1') });
  issuers = new Issuers({
    configs: parseOidcConfig(stringify({ jwt: [issuer.config(ca)] }), () => ''),
    clock,
    log: { info: () => undefined, warn: () => undefined },
    observer: { readKeys: () => undefined },
    proxyFor: () => undefined,
  });
  // An API server that is configured for the same issuer, and lets everybody connect.
  const reviews: Reviews = {
    authenticate: (token) => {
      reviewed.push(token);
      return Promise.resolve({ name: 'oidc:alice', uid: undefined, groups: [], extra: {}, expiresAt: undefined });
    },
    isAllowed: () => {
      looks += 1;
      return Promise.resolve(true);
    },
  };
  gateway = await GatewayInProcess.start({ reviews, issuers, clock });
});
afterEach(async () => {
  for (const { stream } of clients) stream.destroy();
  // By a clock that stands still a gateway that stops would wait for them for ever.
  await waitFor('all clients are gone', () => gateway.snapshot.clients.length === 0);
  await gateway[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

async function admitted(): Promise<RawClient> {
  const client = new RawClient(dial(gateway.port, gateway.host));
  clients.push(client);
  client.connect(`team/acme:${await issuer.token()}`);
  expect(await client.answer(1)).toMatchObject({ result: { ok: true } });
  return client;
}

/** It is looked at, with real reading of keys, and found to be who it is. */
async function lookedAt(times: number): Promise<void> {
  await clock.advance(25_000);
  await waitFor('it is looked at', () => looks === times);
  // The next look is planned now.
  await settle();
}

/** Why its connection was closed, by the audit log. */
const closedFor = (client: RawClient) =>
  waitFor('the end of the connection', () => {
    const line = gateway.log.find(({ msg }) => msg === 'client gone');
    return client.isClosed ? line?.['reason'] : undefined;
  });

it('stay as long as their issuer is trusted and has their key', async () => {
  const client = await admitted();
  for (const times of [2, 3, 4]) await lookedAt(times);
  expect(issuer.keyReads).toBe(4);
  client.send({ id: 2, method: 'ping' });
  expect(await client.answer(2)).toMatchObject({ result: { message: 'pong' } });
  expect(reviewed).toEqual([]);
});

it('end within half a minute after their issuer is trusted no more, and no other party gets their token', async () => {
  const client = await admitted();
  issuers.replace([]);
  await clock.advance(25_000);
  expect(await closedFor(client)).toBe('CredentialRevoked');
  expect(reviewed).toEqual([]);
});

it('end within half a minute after their key was withdrawn', async () => {
  const client = await admitted();
  // The worst moment: the keys have just been read.
  await lookedAt(2);
  expect(issuer.keyReads).toBe(2);
  await issuer.rotate();
  // What is read at the next look is real, and so is the socket: the clock stands still meanwhile.
  await clock.advance(25_000);
  expect(await closedFor(client)).toBe('CredentialRevoked');
  expect(reviewed).toEqual([]);
});
