/** Which parameters a call may have: the tables, as the relay asks them. */
import { isObject } from '../../copilot/index.ts';
import { isUnknownLogin } from '../login-names.ts';
import type { ParamRefusal } from '../model.ts';
import type { MethodProfile } from './line.ts';
import { contradiction } from './forced.ts';
import type { ParamDecision, ParamLine } from './param-line.ts';
import { PARAM_REASONS, type ParamReason } from './param-reasons.ts';
import { PARAM_TABLES, linesOf } from './param-lines.ts';
import { isTrusted } from './trusted.ts';

interface RefusedParam {
  /** Names of fields, or `*`. */
  readonly path: readonly string[];
  readonly reason: ParamReason;
  readonly harmless: string | readonly string[] | undefined;
}

interface MethodParams {
  /** Those that have a line. */
  readonly known: ReadonlySet<string>;
  /** Those by which a client brings its own login, refused where the tenant has one. */
  readonly logins: readonly RefusedParam[];
  readonly refused: Readonly<Record<MethodProfile, readonly RefusedParam[]>>;
}

/** Calls in which the gateway replaces the login that a client states. */
const REPLACED_IN: ReadonlySet<string> = new Set(['session.create', 'session.resume', 'session.options.update']);

/** Calls that load a session, and in which the gateway puts no login. */
const LOADS_WITHOUT: ReadonlySet<string> = new Set(['sessions.open']);

/** Characters of a name that a client made up, which it is told. */
const LONGEST_NAME = 64;

/** By method. */
const PARAMS: ReadonlyMap<string, MethodParams> = new Map(
  PARAM_TABLES.flatMap((table) => {
    const lines = linesOf(table);
    const known = new Set(lines.map(([path]) => path.split('.', 1)[0] ?? ''));
    const refused = {
      Dedicated: refusedOf(lines, 'Dedicated'),
      Shared: refusedOf(lines, 'Shared'),
      SharedTrusted: refusedOf(lines, 'SharedTrusted'),
    };
    const logins = lines.filter(([, , , reason]) => reason === 'OwnLogin').map(loginOf);
    // What attaches or updates a session has the tenant's login put in its place, so that clients which pass one on keep working.
    return table.methods.map((method) => {
      return [method, { known, refused, logins: REPLACED_IN.has(method) ? [] : logins }] as const;
    });
  }),
);

/** Parameters of a session that have a line. */
const OPTION_NAMES = PARAMS.get('session.create')?.known ?? new Set<string>();

/**
 * Why a call must not have the params that it has, by the first line that refuses one of them; undefined: it may. A parameter
 * without a line is left to the server where all clients are one trust domain, for SDKs send those of newer servers, too.
 * `isInjected`: sessions get the tenant's login from the gateway, and nothing that looks like another one.
 */
export function checkParams(
  method: string,
  params: object,
  profile: MethodProfile,
  isInjected = false,
): ParamRefusal | undefined {
  if (isInjected && LOADS_WITHOUT.has(method)) return loadsWithoutLogin(method);
  const of = PARAMS.get(method);
  if (of === undefined) return undefined;
  const refused = [...of.refused[profile], ...(isInjected ? of.logins : [])];
  const found = refused.find(({ path, harmless }) => isStated(params, path, harmless));
  if (found !== undefined) return refusal(method, found.path.join('.'), found.reason);
  const login = isInjected ? unknownLogin(method, params) : undefined;
  if (login !== undefined) return refusal(method, login, 'TenantLogin');
  if (profile === 'Dedicated') return undefined;
  const contradicting = profile === 'Shared' ? contradiction(method, params) : undefined;
  if (contradicting !== undefined) return refusal(method, contradicting, 'AgentTools');
  const [unknown] = unknownNames(params, of.known);
  return unknown === undefined ? undefined : refusal(method, unknown.slice(0, LONGEST_NAME), 'Unknown');
}

/** A parameter without a line that a newer server may take for an address or a login: beside the tenant's key, it would be sent there. */
function unknownLogin(method: string, params: object): string | undefined {
  if (!REPLACED_IN.has(method)) return undefined;
  const name = unknownNames(params, OPTION_NAMES).find(isUnknownLogin);
  return name?.slice(0, LONGEST_NAME);
}

/** Parameters that are stated and have no line. */
function unknownNames(params: object, known: ReadonlySet<string>): string[] {
  return Object.entries(params).flatMap(([name, value]) =>
    !known.has(name) && isStated(value, [], undefined) ? [name] : [],
  );
}

function loginOf([path]: ParamLine): RefusedParam {
  return { path: path.split('.'), reason: 'TenantLogin', harmless: undefined };
}

function refusedOf(lines: readonly ParamLine[], profile: MethodProfile): RefusedParam[] {
  const isRefused = (line: ParamLine) => paramDecisionFor(line, profile) === 'refuse';
  return lines.filter(isRefused).map(([path, , , reason, harmless]) => ({ path: path.split('.'), reason, harmless }));
}

/** Whether a call may have the parameter in a tenant of this profile. */
export function paramDecisionFor([, dedicated, shared, reason]: ParamLine, profile: MethodProfile): ParamDecision {
  if (profile === 'Dedicated' || shared === 'same') return dedicated;
  return profile === 'SharedTrusted' && isTrusted(reason) ? dedicated : shared;
}

/** Whether something is stated at the path in `value`. */
function isStated(value: unknown, path: readonly string[], harmless: RefusedParam['harmless']): boolean {
  const [name, ...rest] = path;
  if (name === undefined) return !isEmpty(value) && !isHarmless(value, harmless);
  if (name === '*') return entries(value).some((entry) => isStated(entry, rest, harmless));
  return isObject(value) && Object.hasOwn(value, name) && isStated(value[name], rest, harmless);
}

function isHarmless(value: unknown, harmless: RefusedParam['harmless'] = []): boolean {
  if (typeof harmless === 'string') return value === harmless;
  return Array.isArray(value) && value.every((entry) => harmless.some((allowed) => matches(entry, allowed)));
}

function matches(entry: unknown, allowed: string): boolean {
  if (typeof entry !== 'string' || !allowed.endsWith('*')) return entry === allowed;
  return entry.startsWith(allowed.slice(0, -1)) && entry.length >= allowed.length;
}

function isEmpty(value: unknown): boolean {
  const isEmptyList = Array.isArray(value) && value.length === 0;
  return value === undefined || value === null || value === false || value === '' || isEmptyList;
}

function entries(value: unknown): readonly unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function refusal(method: string, parameter: string, rule: ParamReason): ParamRefusal {
  const message = `"${parameter}" of ${method} is refused by the rule ${rule}: ${PARAM_REASONS[rule]}; leave it out`;
  return { reason: rule, parameter, message };
}

function loadsWithoutLogin(method: string): ParamRefusal {
  const why = `is refused by the rule TenantLogin: ${PARAM_REASONS.TenantLogin}`;
  const message = `${method} ${why}; call session.create or session.resume`;
  return { reason: 'TenantLogin', parameter: undefined, message };
}
