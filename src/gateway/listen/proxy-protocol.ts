/** The header with which a load balancer says whose connection it passes on: HAProxy's PROXY protocol, versions 1 and 2. */
import { isIPv4, isIPv6 } from 'node:net';

/** Where a connection comes from. */
export interface Source {
  readonly address: string;
  readonly port: number;
}

/** What the first bytes of a connection are. */
export type ProxyHeader =
  /** More bytes are needed. */
  | { readonly kind: 'Incomplete' }
  /** `length` bytes are the header. Without a source the balancer speaks for itself: a health check. */
  | { readonly kind: 'Header'; readonly length: number; readonly source: Source | undefined }
  | { readonly kind: 'Invalid'; readonly problem: string };

/** The specification's bound for version 1, CR LF included. */
const LONGEST_V1 = 107;
/** Of version 2, with room for what balancers add; the specification allows 64 KiB. */
const LONGEST_V2 = 2_048;
const V1_START = Buffer.from('PROXY ');
const V2_START = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const V2_FIXED = 16;
const FAMILIES = new Map([
  [0x11, { length: 12, read: v4 }],
  [0x21, { length: 36, read: v6 }],
]);

/** Reads the header at the start of `bytes`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, V2_START)) return readV2(bytes);
  if (startsLike(bytes, V1_START)) return readV1(bytes);
  return invalid('the connection does not begin with a PROXY protocol header');
}

function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
}

function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, LONGEST_V1).indexOf('\r\n');
  if (end === -1) {
    return bytes.length < LONGEST_V1 ? { kind: 'Incomplete' } : invalid('the PROXY line has no end within 107 bytes');
  }
  const length = end + 2;
  const [, family, address = '', , port = '', ...rest] = bytes.toString('latin1', 0, end).split(' ');
  if (family === 'UNKNOWN') return { kind: 'Header', length, source: undefined };
  const isFamily = (family === 'TCP4' && isIPv4(address)) || (family === 'TCP6' && isIPv6(address));
  if (!isFamily || !isPort(port) || rest.length !== 1) return invalid('the PROXY line is malformed');
  return { kind: 'Header', length, source: { address, port: Number(port) } };
}

function readV2(bytes: Buffer): ProxyHeader {
  if (bytes.length < V2_FIXED) return { kind: 'Incomplete' };
  const [versionAndCommand = 0, family = 0] = [bytes[12], bytes[13]];
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21)
    return invalid('the PROXY header is of an unknown version');
  const length = V2_FIXED + bytes.readUInt16BE(14);
  if (length > LONGEST_V2) return invalid(`the PROXY header has more than ${LONGEST_V2} bytes`);
  if (bytes.length < length) return { kind: 'Incomplete' };
  const known = FAMILIES.get(family);
  // The balancer's own connection, or one that is not TCP over IP: the header is skipped.
  if (versionAndCommand === 0x20 || known === undefined) return { kind: 'Header', length, source: undefined };
  if (length < V2_FIXED + known.length) return invalid('the PROXY header is shorter than its addresses');
  return { kind: 'Header', length, source: known.read(bytes.subarray(V2_FIXED)) };
}

function v4(addresses: Buffer): Source {
  return { address: addresses.subarray(0, 4).join('.'), port: addresses.readUInt16BE(8) };
}

function v6(addresses: Buffer): Source {
  const groups = Array.from({ length: 8 }, (_, group) => addresses.readUInt16BE(group * 2).toString(16));
  return { address: groups.join(':'), port: addresses.readUInt16BE(32) };
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

function invalid(problem: string): ProxyHeader {
  return { kind: 'Invalid', problem };
}
