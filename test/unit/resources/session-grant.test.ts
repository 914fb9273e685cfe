import { describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { guardRefusal } from '../../../src/resources/guard-protocol.ts';
import {
  InvalidGrantError,
  grantKeyPem,
  grantSigner,
  grantVerifiers,
  publicGrantKey,
  readGrant,
  signGrant,
  type SessionGrant,
} from '../../../src/resources/session-grant.ts';

const present = grantKeyPem(generateKeyPairSync('ed25519'));
const previous = grantKeyPem(generateKeyPairSync('ed25519'));
const signer = grantSigner(present.privateKey);
const verifiers = grantVerifiers(present.publicKey);
const grant: SessionGrant = {
  tenant: 'team/acme',
  server: 'team/acme-0',
  pod: '5d8f7e1c',
  session: 'alice_-1',
  epoch: 7,
  intent: 'load',
  issuedAt: '2026-12-01T12:00:00Z',
};

describe('a grant', () => {
  it('is read as it was signed', () => {
    expect(readGrant(signGrant(grant, signer), verifiers)).toEqual(grant);
    const gone = { ...grant, intent: 'delete' as const, gone: ['a', 'b'] };
    expect(readGrant(signGrant(gone, signer), verifiers)).toEqual(gone);
  });

  it('is good for the key before, while that is in the file, too', () => {
    const both = grantVerifiers(`${present.publicKey}\n# the one before\n${previous.publicKey}`);
    expect(both).toHaveLength(2);
    expect(readGrant(signGrant(grant, grantSigner(previous.privateKey)), both)).toEqual(grant);
    expect(() => readGrant(signGrant(grant, grantSigner(previous.privateKey)), verifiers)).toThrow(
      /signed by the key [\w-]{12}, which this guard does not have/,
    );
  });

  it.each<[string, (text: string) => unknown]>([
    ['is no text', () => 7],
    ['is empty', () => ''],
    ['is of another version', (text) => text.replace('g1.', 'g2.')],
    ['has no signature', (text) => text.slice(0, text.lastIndexOf('.'))],
    ['has another payload', (text) => text.replace(/\.[\w-]{40}/, (part) => `.${part.slice(2)}A`)],
    ['has another signature', (text) => `${text.slice(0, -4)}${text.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`],
    ['is too long', (text) => text + 'A'.repeat(5_000)],
  ])('is refused if it %s', (_what, change) => {
    expect(() => readGrant(change(signGrant(grant, signer)), verifiers)).toThrow(InvalidGrantError);
  });

  it.each<[string, Partial<Record<keyof SessionGrant, unknown>>]>([
    ['whose epoch is 0', { epoch: 0 }],
    ['whose epoch is no integer', { epoch: 1.5 }],
    ['whose epoch is too large to be exact', { epoch: 2 ** 53 }],
    ['whose epoch is a text', { epoch: '7' }],
    ['of no session', { session: '' }],
    ['of a session that could be a path', { session: '../x' }],
    ['with another intent', { intent: 'read' }],
    ['for no pod', { pod: '' }],
    ['with pods that are no list', { gone: 'pod' }],
  ])('is refused if it is one %s, though it is signed', (_what, change) => {
    expect(() => readGrant(signGrant({ ...grant, ...change } as SessionGrant, signer), verifiers)).toThrow(
      InvalidGrantError,
    );
  });

  it('is refused if it has a field that is not known, because that may restrict it', () => {
    const real = JSON.stringify;
    JSON.stringify = (value: unknown) => real({ ...(value as object), only: 'reads' });
    let text: string;
    try {
      text = signGrant(grant, signer);
    } finally {
      JSON.stringify = real;
    }
    expect(() => readGrant(text, verifiers)).toThrow('it has a field that this guard does not know');
  });
});

describe('keys of grants', () => {
  it('have a public part that follows from the private one', () => {
    expect(publicGrantKey(present.privateKey)).toBe(present.publicKey);
    expect(verifiers[0]?.id).toBe(signer.id);
  });

  it('are of no other kind', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => grantSigner(grantKeyPem(pair).privateKey)).toThrow('not an Ed25519 key');
    expect(() => grantVerifiers(grantKeyPem(pair).publicKey)).toThrow('not an Ed25519 key');
    expect(() => grantVerifiers('nothing')).toThrow('no public key');
  });
});

describe('what a guard refuses', () => {
  it('is told apart from what a server refuses', () => {
    const data = { rule: 'NotClosed', epoch: 4, holder: { server: 'a/b', pod: 'c' } };
    expect(guardRefusal({ code: -32_011, data })).toEqual(data);
    expect(guardRefusal({ code: -32_603, data })).toBeUndefined();
    expect(guardRefusal({ code: -32_011, data: { rule: 'Else' } })).toBeUndefined();
    expect(guardRefusal({ code: -32_011 })).toBeUndefined();
    expect(guardRefusal({ code: -32_011, data: { rule: 'Busy', epoch: 'x', holder: 'y' } })).toEqual({ rule: 'Busy' });
  });
});
