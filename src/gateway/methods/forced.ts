/**
 * What every session of a Shared tenant has, whatever its clients declare: an agent without tools of the server, and nothing that outlives
 * the session. An agent with a shell or files could read the server's token, and with it every session (docs/adr/0033-isolation-by-stamps.md).
 */
import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../../copilot/index.ts';
import type { ForcedParams } from '../model.ts';
import { HARMLESS_TOOLS } from './harmless-tools.ts';

/** As the SDK's `mode: "empty"` declares them. */
const DECLARED = {
  customAgentsLocalOnly: true,
  embeddingCacheStorage: 'in-memory',
  enableConfigDiscovery: false,
  enableFileHooks: false,
  enableHostGitOperations: false,
  enableOnDemandInstructionDiscovery: false,
  enableSessionStore: false,
  enableSkills: false,
  mcpOAuthTokenStorage: 'in-memory',
  mcpServers: {},
  memory: { enabled: false },
  skipEmbeddingRetrieval: true,
  toolFilterPrecedence: 'excluded',
} as const;

const OPTIONS = {
  coauthorEnabled: false,
  customAgentsLocalOnly: true,
  includedBuiltinSkills: [],
  installedPlugins: [],
  manageScheduleEnabled: false,
  skipCustomInstructions: true,
} as const;

/** For the relay. */
export const FORCED: ForcedParams = {
  declared: DECLARED,
  defaults: { availableTools: HARMLESS_TOOLS },
  options: OPTIONS,
};

/** Methods whose params are those of a session. */
const UPDATE = 'session.options.update';
const METHODS = new Set(['session.create', 'session.resume', UPDATE]);
const TOOLS = 'availableTools';
const FIXED: Readonly<Record<string, unknown>> = { ...OPTIONS, ...DECLARED };

/** The first parameter by which a client would have something else; undefined: there is none. */
export function contradiction(method: string, params: object): string | undefined {
  if (!METHODS.has(method)) return undefined;
  return Object.entries(params).find(([name, value]) => contradicts(method, name, value))?.[0];
}

/** The entries of a list of tools have a line in the table. */
function contradicts(method: string, name: string, value: unknown): boolean {
  const isForced = Object.hasOwn(FIXED, name) || name === TOOLS;
  if (!isForced || value === undefined) return false;
  // The relay fills it in, but for an update, where it may mean the server's own default.
  if (value === null) return method === UPDATE;
  if (name === TOOLS) return !Array.isArray(value);
  // A memory without `enabled` would get the server's default.
  if (name === 'memory') return !isObject(value) || value['enabled'] !== false;
  return !isDeepStrictEqual(value, FIXED[name]);
}
