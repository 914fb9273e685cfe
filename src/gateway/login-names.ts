/** Which parameters of a session may be an address or a login, by their names: beside the tenant's key, a server would send that there. */

/** What the name of an address or a login has in it. */
const LOGIN_NAME = /ur[li]|endpoint|host|provider|header|auth|token|proxy|key/i;

/** Those that have a line in the tables of parameters (methods/params), where it is decided of each what it is. */
export const DECIDED_NAMES: ReadonlySet<string> = new Set([
  'authClientIdMetadataUrl',
  'authContextId',
  'authInfo',
  'canvasProvider',
  'coauthorEnabled',
  'copilotUrl',
  'enableHostGitOperations',
  'gitHubToken',
  'gitHubTokenProviderRegistrationId',
  'hasGitHubToken',
  'hasSkillProvider',
  'mcpOAuthTokenStorage',
  'provider',
  'providerContextId',
  'providerPresent',
  'providers',
]);

/** Whether a newer server may take the parameter for an address or a login, and nobody has decided about it. */
export function isUnknownLogin(name: string): boolean {
  return LOGIN_NAME.test(name) && !DECIDED_NAMES.has(name);
}
