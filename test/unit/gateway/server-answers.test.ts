import { expect, it } from '@jest/globals';
import { encodeFrame, type Dial, type WireEvents } from '../../../src/copilot/index.ts';
import { ServerAnswers } from '../../support/server-answers.ts';

const frame = (message: object) => encodeFrame(JSON.stringify({ jsonrpc: '2.0', ...message }));
const nothing = () => undefined;

it('finds what a server is answered twice, or has not asked on this connection', () => {
  const answers = new ServerAnswers();
  const says: ((message: object) => void)[] = [];
  const dial: Dial = (_, events) => {
    says.push((message) => events.data(Buffer.from(frame(message))));
    return { write: () => true, pause: nothing, resume: nothing, destroy: nothing };
  };
  const events: WireEvents = { connected: nothing, data: nothing, drained: nothing, closed: nothing };
  const watched = answers.dial(dial);
  const [wire, other] = [1, 2].map(() => watched({ host: 'h', port: 1 }, events));
  const ask = says[0];
  ask?.({ id: 1, method: 'hooks.invoke' });
  ask?.({ method: 'session.event', params: { id: 2 } });
  ask?.({ id: 3, result: {} });
  wire?.write(frame({ id: 3, method: 'ping' }));
  wire?.write(frame({ id: 1, result: {} }));
  expect(answers.problems).toEqual([]);
  wire?.write(frame({ id: 1, error: {} }));
  ask?.({ id: 4, method: 'hooks.invoke' });
  other?.write(frame({ id: 4, result: {} }));
  const problem = 'a server was answered what it had not asked, or a second time: ';
  expect(answers.problems).toEqual([
    `${problem}{"jsonrpc":"2.0","id":1,"error":{}}`,
    `${problem}{"jsonrpc":"2.0","id":4,"result":{}}`,
  ]);
});
