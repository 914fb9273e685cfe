/** What begins no frame of the protocol. */

/** What it is, its bytes, and what is said of it. */
export const BAD_HEADERS: readonly (readonly [what: string, stream: string | Buffer, said: string])[] = [
  ['a negative length', 'Content-Length: -1\r\n\r\n', '"-1"'],
  ['a hexadecimal length', 'Content-Length: 0x10\r\n\r\n', '"0x10"'],
  ['an exponent', 'Content-Length: 1e3\r\n\r\n', '"1e3"'],
  ['a sign', 'Content-Length: +5\r\n\r\n', '"+5"'],
  ['two numbers', 'Content-Length: 5, 5\r\n\r\n', '"5, 5"'],
  ['no number', 'Content-Length: \r\n\r\n', '""'],
  ['a number beyond integers', `Content-Length: ${'9'.repeat(40)}\r\n\r\n`, '"9999'],
  ['ten gigabytes', 'Content-Length: 9999999999\r\n\r\n', 'a frame of 9999999999 bytes, more than the 16777216'],
  ['two lengths', 'Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}', 'two Content-Length lines'],
  ['no length', 'Content-Type: text/plain\r\n\r\n', 'without Content-Length'],
  ['no header at all', '\r\n', 'without Content-Length'],
  ['bare LF', 'Content-Length: 2\n\n{}', 'does not end with CR LF: "Content-Length: 2"'],
  ['an HTTP answer', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', 'a web server listens on the port'],
  ['an SSH greeting', 'SSH-2.0-OpenSSH_9.2\r\n', 'an SSH greeting'],
  ['the first bytes of an HTTP answer', 'HTTP/1.1 4', 'an HTTP answer "HTTP/1.1 4"'],
  ['a TLS alert', Buffer.from([0x15, 3, 3, 0, 2, 2, 0x28]), String.raw`"\u0015\u0003\u0003\u0000\u0002\u0002("`],
  ['JSON without a frame', '{"jsonrpc":"2.0"}', String.raw`"{\"jsonrpc\"`],
  ['a header name with a space', 'Content Length: 2\r\n\r\n{}', '"Content Length: 2"'],
  ['a header that never ends', `X: ${'a'.repeat(5000)}`, 'a frame header of more than 4096 bytes'],
  ['endless header lines', 'X: a\r\n'.repeat(1000), 'a frame header of more than 4096 bytes'],
];
