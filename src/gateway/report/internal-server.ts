/** The internal port: an HTTP server for the operator, and for people who look after the gateway. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Annotation } from '../../api/names.ts';
import {
  bearerToken,
  type InternalPortOptions,
  InternalPortServer,
  NO_TOKEN,
  refuse,
  type Refusal,
} from '../../kube/runtime/internal-port.ts';
import { keyOf } from '../../kube/types/types.ts';
import {
  ACTION_VERBS,
  INTERNAL_VIEWS,
  TENANT_ACTIONS,
  type InternalRight,
  type InternalView,
  type TenantAction,
} from '../../resources/gateway-internal.ts';
import type { InternalAccess } from '../admission/internal-access.ts';
import type { ClientSummary } from '../client/model.ts';
import type { DrainProgress, SessionSummary, TenantRef, TenantUses } from '../model.ts';
import { clientView, drainLine, sessionView, tenantsView } from './views.ts';

/** What it serves. */
export interface InternalServerOptions extends Pick<InternalPortOptions, 'keys' | 'log'> {
  readonly access: InternalAccess;
  readonly clients: () => readonly ClientSummary[];
  readonly sessions: () => readonly SessionSummary[];
  readonly drains: () => readonly DrainProgress[];
  readonly uses: () => TenantUses;
  /** Does to the clients of a tenant what `user` asks. */
  readonly act: (action: TenantAction, tenant: TenantRef, user: string) => ActionOutcome;
}

/** What came of it. */
export type ActionOutcome =
  | {
      /** Whether the tenant gets no further clients and prompts now. */
      readonly paused: boolean;
      /** Clients whose connections were closed. */
      readonly closed: number;
    }
  | 'UnknownTenant'
  | 'PausedByAnnotation';

const ACTION = new RegExp(`^/tenants/([^/]+)/([^/]+)/(${TENANT_ACTIONS.join('|')})$`);

/** Answers `GET /tenants`, `/drains`, `/clients` and `/sessions`, the last two on request of one tenant (`?tenant=NAMESPACE/NAME`), and `POST /tenants/NAMESPACE/NAME/ACTION`. */
export class InternalServer extends InternalPortServer {
  readonly #options: InternalServerOptions;

  constructor(options: InternalServerOptions) {
    super({
      ...options,
      isOpenToLoopback: true,
      handle: (request, response) => this.#handle(request, response),
    });
    this.#options = options;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url } = request;
    const parsed = URL.parse(url ?? '/', 'http://localhost');
    const asked = parsed === null ? undefined : askedOf(parsed);
    if (asked === undefined) return void response.writeHead(404).end();
    const allow = 'action' in asked ? 'POST' : 'GET';
    if (method !== allow) return void response.writeHead(405, { allow }).end();
    const token = bearerToken(request);
    const right: InternalRight =
      'action' in asked ? { view: 'tenants', verb: ACTION_VERBS[asked.action] } : { view: asked.view, verb: 'get' };
    const decision = token === undefined ? NO_TOKEN : await this.#options.access.decide(token, right);
    if (!('user' in decision)) return refuse(response, decision);
    const outcome = 'action' in asked ? this.#act(asked, decision.user) : { answer: this.#view(asked) };
    if ('status' in outcome) return refuse(response, outcome);
    const body = JSON.stringify(outcome.answer);
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(body);
  }

  #act({ action, tenant }: AskedAction, user: string): { readonly answer: object } | Refusal {
    const outcome = this.#options.act(action, tenant, user);
    if (outcome === 'UnknownTenant') return { status: 404, message: `there is no tenant ${keyOf(tenant)}` };
    if (outcome !== 'PausedByAnnotation') return { answer: outcome };
    const message = `tenant ${keyOf(tenant)} is paused by its annotation ${Annotation.gatewayPaused}: remove that`;
    return { status: 409, message };
  }

  #view({ view, tenant }: AskedView): object {
    const { clients, sessions, drains, uses } = this.#options;
    const isAsked = (key: string | undefined): boolean => tenant === null || tenant === key;
    if (view === 'tenants') return tenantsView(clients(), uses());
    if (view === 'drains') return { drains: drains().map(drainLine) };
    if (view === 'sessions') {
      return { sessions: sessions().flatMap((each) => (isAsked(keyOf(each.tenant)) ? sessionView(each) : [])) };
    }
    const isShown = ({ identity }: ClientSummary): boolean => isAsked(identity && keyOf(identity.tenant));
    return { clients: clients().flatMap((each) => (isShown(each) ? clientView(each) : [])) };
  }
}

interface AskedAction {
  readonly action: TenantAction;
  readonly tenant: TenantRef;
}

interface AskedView {
  readonly view: InternalView;
  /** `NAMESPACE/NAME`; null: all. */
  readonly tenant: string | null;
}

function askedOf({ pathname, searchParams }: URL): AskedAction | AskedView | undefined {
  const [, namespace = '', name = '', action] = ACTION.exec(pathname) ?? [];
  const found = TENANT_ACTIONS.find((each) => each === action);
  if (found !== undefined) return { action: found, tenant: { namespace, name } };
  const view = INTERNAL_VIEWS.find((each) => pathname === `/${each}`);
  return view && { view, tenant: searchParams.get('tenant') };
}
