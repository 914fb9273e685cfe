import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { readProxyHeader } from '../../../../src/gateway/listen/proxy-protocol.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const v4 = hex(`${SIGNATURE} 21 11 000c 0a000009 0a000001 9c40 10e1`);
const v6 = hex(`${SIGNATURE} 21 21 0024 20010db8000000000000000000000009 20010db8000000000000000000000001 9c40 10e1`);

describe('a PROXY protocol header', () => {
  it.each([
    [
      'version 1, IPv4',
      Buffer.from('PROXY TCP4 10.0.0.9 10.0.0.1 40000 4321\r\n'),
      { address: '10.0.0.9', port: 40_000 },
    ],
    [
      'version 1, IPv6',
      Buffer.from('PROXY TCP6 2001:db8::9 2001:db8::1 40000 4321\r\n'),
      { address: '2001:db8::9', port: 40_000 },
    ],
    ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
    ['version 1, unknown with addresses', Buffer.from('PROXY UNKNOWN a b 1 2\r\n'), undefined],
    ['version 2, IPv4', v4, { address: '10.0.0.9', port: 40_000 }],
    ['version 2, IPv6', v6, { address: '2001:db8:0:0:0:0:0:9', port: 40_000 }],
    ['version 2, the balancer itself', hex(`${SIGNATURE} 20 00 0000`), undefined],
    [
      'version 2, with more behind the addresses',
      Buffer.concat([hex(`${SIGNATURE} 21 11 0010 0a000009 0a000001 9c40 10e1 04000100`)]),
      { address: '10.0.0.9', port: 40_000 },
    ],
    ['version 2, a UNIX socket', hex(`${SIGNATURE} 21 31 0002 6162`), undefined],
  ])('of %s is read, and complete with its last byte only', (_, header, source) => {
    const followed = Buffer.concat([header, Buffer.from('Content-Length: 2')]);
    expect(readProxyHeader(followed)).toEqual({ kind: 'Header', length: header.length, source });
    for (let length = 0; length < header.length; length += 1) {
      expect(readProxyHeader(followed.subarray(0, length))).toEqual({ kind: 'Incomplete' });
    }
  });

  it.each([
    ['a frame', Buffer.from('Content-Length: 2\r\n\r\n{}')],
    ['a greeting of TLS', hex('16030100')],
    ['IPv6 as TCP4', Buffer.from('PROXY TCP4 2001:db8::9 10.0.0.1 1 2\r\n')],
    ['a port beyond', Buffer.from('PROXY TCP4 10.0.0.9 10.0.0.1 70000 2\r\n')],
    ['a missing port', Buffer.from('PROXY TCP4 10.0.0.9 10.0.0.1 1\r\n')],
    ['one field too many', Buffer.from('PROXY TCP4 10.0.0.9 10.0.0.1 1 2 3\r\n')],
    ['an unknown family', Buffer.from('PROXY SCTP 10.0.0.9 10.0.0.1 1 2\r\n')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['version 3', hex(`${SIGNATURE} 31 11 000c 0a000009 0a000001 9c40 10e1`)],
    ['addresses that are cut off', hex(`${SIGNATURE} 21 11 0004 0a000009`)],
    ['64 KiB', hex(`${SIGNATURE} 21 11 ffff`)],
  ])('is none in %s', (_, bytes) => {
    expect(readProxyHeader(bytes)).toMatchObject({ kind: 'Invalid' });
  });

  it('is decided within 2 KiB, whatever the bytes are', () => {
    const start = fc.constantFrom('PROXY ', 'PROXY TCP4 ', hex(`${SIGNATURE}21`).toString('latin1'), '');
    fc.assert(
      fc.property(start, fc.uint8Array({ minLength: 2_048, maxLength: 2_100 }), (text, bytes) => {
        const all = Buffer.concat([Buffer.from(text, 'latin1'), bytes]);
        expect(readProxyHeader(all).kind).not.toBe('Incomplete');
      }),
    );
  });
});
