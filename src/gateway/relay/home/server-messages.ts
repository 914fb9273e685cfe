/** What a server says that is neither an answer nor an event: what it asks clients, and that sessions come and go. */
import { isObject, type Message, type RequestId } from '../../../copilot/index.ts';
import { sessionIdOf, type SessionClient } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { Owners } from '../listing/owners.ts';
import { unknownMethod } from '../refusals.ts';
import { requestKindOf, unattended } from '../asking/requests.ts';
import type { Session } from '../session/session.ts';
import type { Upstream } from '../server/upstream.ts';

/** The home of the server. */
export interface MessageTaker {
  readonly upstream: Pick<Upstream, 'answer'>;
  readonly observer: Pick<RelayObserver, 'unattended'>;
  readonly owners: Pick<Owners, 'mayHear' | 'forget'> | undefined;
  /** Those that are told of sessions that come and go. */
  readonly clients: Iterable<SessionClient>;
  session(id: string | undefined): Session | undefined;
  deleted(session: Session): void;
  heard(sessionId: string, isDeletion: boolean): void;
}

type Params = Readonly<Record<string, unknown>>;

/** Takes the body of such a message. */
export function takeMessage(
  home: MessageTaker,
  message: Message & { readonly kind: 'request' | 'notification' },
  body: Buffer,
): void {
  const params = isObject(message.params) ? message.params : {};
  if (message.kind === 'request') {
    const session = home.session(sessionIdOf(params));
    if (session?.questions.request(message.id, message.method, params, body.length) !== true)
      refuse(home, message.id, message.method, params);
  } else if (message.method === 'session.lifecycle') {
    takeLifecycle(home, sessionIdOf(params), params['type'] === 'session.deleted', body);
  } else if (message.method === 'host.event' && isObject(params['scope'])) {
    for (const client of home.session(sessionIdOf(params['scope']))?.clients ?? []) client.deliver(body);
  }
  // Whatever else has no session is for nobody.
}

/** Everybody is told of a tenant that is one trust domain. */
function takeLifecycle(home: MessageTaker, sessionId: string | undefined, isDeletion: boolean, body: Buffer): void {
  for (const client of home.clients) {
    if (home.owners?.mayHear(sessionId, client.user) !== false) client.deliver(body);
  }
  if (sessionId === undefined) return;
  home.heard(sessionId, isDeletion);
  if (!isDeletion) return;
  home.owners?.forget(sessionId);
  const session = home.session(sessionId);
  if (session !== undefined) home.deleted(session);
}

/** A request that is for nobody. An error would let a tool run that a hook should have decided on. */
function refuse({ upstream, observer }: MessageTaker, id: RequestId, method: string, params: Params): void {
  if (requestKindOf(method) === undefined) return upstream.answer(id, unknownMethod(method));
  observer.unattended(method);
  upstream.answer(id, unattended(method, params));
}
