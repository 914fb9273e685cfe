/**
 * What the gateway changes in calls about a session whose tenant has a login of its own: the login replaces that of the client as a whole.
 * Merged with an address or header of the client, it would be sent there (docs/adr/0032-injection.md).
 */
import { isUnknownLogin } from '../../login-names.ts';
import type { SessionModel, SessionSettings } from '../../model.ts';
import type { ReplayedCall } from '../setup/replay.ts';

type Params = Readonly<Record<string, unknown>>;

/** The fields by which a session gets a login, or addresses for one. */
export const LOGIN_FIELDS: readonly string[] = [
  'gitHubToken',
  'gitHubTokenProviderRegistrationId',
  'models',
  'provider',
  'providers',
];
/** Calls that do nothing else. Clients may have made them before the tenant had a login. */
const LOGIN_CALLS: ReadonlySet<string> = new Set(['session.gitHubAuth.setCredentials', 'session.provider.add']);

/** The params of a `session.create` or `session.resume` with the tenant's login. Without one they are the client's own. */
export function withModel(method: string, params: Params, model: SessionModel | undefined): Params {
  if (model === undefined) return params;
  const named = params['model'] !== undefined && params['model'] !== null && params['model'] !== '';
  // A resume restores the model that the session has.
  const isDefault = method === 'session.create' && !named && model.defaultModel !== undefined;
  return { ...withoutLogin(params), ...(isDefault && { model: model.defaultModel }), ...model.login };
}

/**
 * The params with what the CopilotSession sets, in place of what clients state. `hasModel`: the server has the session with its model, or
 * restores it, so that a client's own switch stays; stated again, it would be undone.
 */
export function withSettings(params: Params, settings: SessionSettings | undefined, hasModel: boolean): Params {
  const { model, infiniteSessions } = settings ?? {};
  const rest = Object.fromEntries(Object.entries(params).filter(([key]) => key !== 'model'));
  return {
    ...(model === undefined ? params : rest),
    ...(model !== undefined && !hasModel && { model }),
    ...(infiniteSessions !== undefined && { infiniteSessions }),
  };
}

/**
 * Params without any login, so that the session keeps the one that it has: absent means unchanged. Also without what may be one: clients may have
 * declared that before their tenant had a login, when it was not refused.
 */
export function withoutLogin(params: Params): Params {
  const isLogin = (name: string): boolean => LOGIN_FIELDS.includes(name) || isUnknownLogin(name);
  return Object.fromEntries(Object.entries(params).filter(([name]) => !isLogin(name)));
}

/** What of a kept call is told again to a session that has the tenant's login; undefined: nothing. */
export function replayedWithoutLogin({ method, params }: ReplayedCall): ReplayedCall | undefined {
  return LOGIN_CALLS.has(method) ? undefined : { method, params: withoutLogin(params as Params) };
}

/** The params of a call that takes a GitHub token. */
export function withGitHubToken(params: Params, { login }: SessionModel): Params {
  const { gitHubToken } = login;
  return gitHubToken === undefined ? params : { ...params, gitHubToken };
}
