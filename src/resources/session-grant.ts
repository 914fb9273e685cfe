/**
 * Grants: the gateway's signed word that a session may be loaded, closed or deleted on one server, under one epoch. The guard in the
 * server's pod checks them with the public key alone (docs/adr/0061-guard.md).
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { isObject, isSessionId } from '../copilot/index.ts';

/**
 * What a grant permits:
 * - `load`: the server has the session from now on, and its connection may make every call about it;
 * - `close`: whoever had the session under a lower epoch has lost it, and `sessions.close` may be called;
 * - `delete`: as `load`, but for the deletion alone.
 */
export const GRANT_INTENTS = ['load', 'close', 'delete'] as const;
export type GrantIntent = (typeof GRANT_INTENTS)[number];

/**
 * What is signed. A guard refuses a field that it does not know, and servers keep their guard for weeks: so another field, also one that may be
 * left out, makes another version, `g2`. One release reads it, and only a later one signs it.
 */
export interface SessionGrant {
  /** `namespace/name` of the CopilotTenant. */
  readonly tenant: string;
  /** `namespace/name` of the server. */
  readonly server: string;
  /** UID of the server's pod: a grant is worth nothing at its successor. */
  readonly pod: string;
  readonly session: string;
  /** At least 1. It is the record's in the coordination store, or, for what the operator ends, the one after that which the guard knows. */
  readonly epoch: number;
  readonly intent: GrantIntent;
  /**
   * UIDs of pods of which the signer knows that nothing runs any more: what they have not closed is no obstacle. A session that another pod
   * has not closed is refused as `NotClosed`.
   */
  readonly gone?: readonly string[] | undefined;
  /** When it was signed, RFC 3339: for logs only. Epochs decide what is current, because clocks of two machines differ. */
  readonly issuedAt: string;
}

/** The key that signs, and the name by which grants refer to it. */
export interface GrantSigner {
  readonly id: string;
  readonly privateKey: KeyObject;
}

/** A key that verifies. */
export interface GrantVerifier {
  readonly id: string;
  readonly publicKey: KeyObject;
}

/** A grant that is refused: its message says why, without any of its bytes. */
export class InvalidGrantError extends Error {
  override readonly name = 'InvalidGrantError';
}

const VERSION = 'g1';
/** Before what is signed, so that a signature by the same key for another purpose is no grant. */
const DOMAIN = 'copilot-operator.dev/session-grant\n';
/** Longer texts are not looked at: the longest names of Kubernetes, and a session id of 255 characters, take 1300. */
const LONGEST = 4096;
const ID_LENGTH = 12;
const GRANT = /^g1\.([\w-]{12})\.([\w-]+)\.([\w-]{86})$/;
const PEM_BLOCK = /-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g;

/** A new pair of keys as PEM: PKCS #8 for who signs, SPKI for who verifies. `pair` makes it: `generateKeyPairSync('ed25519')`. */
export function grantKeyPem(pair: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }): {
  readonly privateKey: string;
  readonly publicKey: string;
} {
  return {
    privateKey: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    publicKey: pair.publicKey.export({ format: 'pem', type: 'spki' }) as string,
  };
}

/** The public key of a private one, as PEM: what guards are given. @throws Error if it is no Ed25519 key */
export function publicGrantKey(privateKeyPem: string): string {
  return createPublicKey(ed25519(createPrivateKey(privateKeyPem))).export({ format: 'pem', type: 'spki' }) as string;
}

/** @throws Error if the text is no Ed25519 key as PEM */
export function grantSigner(privateKeyPem: string): GrantSigner {
  const privateKey = ed25519(createPrivateKey(privateKeyPem));
  return { id: idOf(createPublicKey(privateKey)), privateKey };
}

/** The keys in a file of public keys, one or several behind each other. @throws Error if there is none, or one that is not Ed25519 */
export function grantVerifiers(pem: string): readonly GrantVerifier[] {
  const keys = [...pem.matchAll(PEM_BLOCK)].map(([block]) => ed25519(createPublicKey(block)));
  if (keys.length === 0) throw new Error('no public key in PEM');
  return keys.map((publicKey) => ({ id: idOf(publicKey), publicKey }));
}

/** The grant as text, for `guard.grant`. */
export function signGrant(grant: SessionGrant, { id, privateKey }: GrantSigner): string {
  const signed = `${VERSION}.${id}.${Buffer.from(encode(grant)).toString('base64url')}`;
  // Ed25519 has its own digest, so none is named.
  return `${signed}.${sign(null, Buffer.from(DOMAIN + signed), privateKey).toString('base64url')}`;
}

/** What a text grants that one of these keys has signed. @throws InvalidGrantError */
export function readGrant(text: unknown, verifiers: readonly GrantVerifier[]): SessionGrant {
  if (typeof text !== 'string' || text.length > LONGEST) throw new InvalidGrantError('it is no grant');
  const [, keyId, payload = '', signature = ''] = GRANT.exec(text) ?? [];
  if (keyId === undefined) throw new InvalidGrantError('it is no grant of a version that this guard knows');
  const key = verifiers.find(({ id }) => id === keyId)?.publicKey;
  if (key === undefined)
    throw new InvalidGrantError(`it is signed by the key ${keyId}, which this guard does not have`);
  const signed = text.slice(0, -signature.length - 1);
  if (!verify(null, Buffer.from(DOMAIN + signed), key, Buffer.from(signature, 'base64url')))
    throw new InvalidGrantError('its signature is wrong');
  return decode(Buffer.from(payload, 'base64url').toString());
}

/** The one encoding of a grant: all fields as JSON, in this order. */
function encode({ tenant, server, pod, session, epoch, intent, gone, issuedAt }: SessionGrant): string {
  return JSON.stringify({ tenant, server, pod, session, epoch, intent, ...(gone !== undefined && { gone }), issuedAt });
}

function decode(json: string): SessionGrant {
  // It is signed: what is wrong with it is a mistake of the signer or another version, and no attack.
  const value: unknown = JSON.parse(json);
  const { tenant, server, pod, session, epoch, intent, gone, issuedAt } = isObject(value) ? value : {};
  if (!isText(tenant) || !isText(server) || !isText(pod) || !isText(issuedAt))
    throw new InvalidGrantError('it lacks a field');
  if (gone !== undefined && !isTexts(gone)) throw new InvalidGrantError('its pods that are gone are no UIDs');
  if (typeof session !== 'string' || !isSessionId(session)) throw new InvalidGrantError('its session is no session id');
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 1)
    throw new InvalidGrantError('its epoch is no positive integer');
  const known = GRANT_INTENTS.find((each) => each === intent);
  if (known === undefined) throw new InvalidGrantError('its intent is unknown');
  const grant = { tenant, server, pod, session, epoch, intent: known, gone, issuedAt };
  // A field that this guard does not know may restrict what is granted.
  if (encode(grant) !== json) throw new InvalidGrantError('it has a field that this guard does not know');
  return grant;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function ed25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('the key is not an Ed25519 key');
  return key;
}

function idOf(publicKey: KeyObject): string {
  const der = publicKey.export({ format: 'der', type: 'spki' }) as Buffer;
  return createHash('sha256').update(der).digest('base64url').slice(0, ID_LENGTH);
}
