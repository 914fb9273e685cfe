/** Parameters of sessions that concern logins, providers, GitHub, and the server with its operator. */
import type { ParamLine } from '../param-line.ts';

/** In the order of names: parameter, whether it is allowed in a Dedicated tenant, the same or refused in a Shared one, why. */
export const SERVER_PARAMS: readonly ParamLine[] = [
  ['authContextId', 'refuse', 'same', 'HostProgram'],
  ['authInfo', 'refuse', 'same', 'KeyDestination'],
  ['cachedModels', 'refuse', 'same', 'HostProgram'],
  ['cloud', 'allow', 'refuse', 'RemoteControl'],
  ['configDir', 'refuse', 'same', 'SessionPlace'],
  ['copilotUrl', 'refuse', 'same', 'KeyDestination'],
  ['gitHubToken', 'allow', 'same', 'OwnLogin'],
  ['gitHubTokenProviderRegistrationId', 'allow', 'same', 'OwnLogin'],
  ['hasGitHubToken', 'refuse', 'same', 'HostProgram'],
  ['models', 'allow', 'same', 'OwnLogin'],
  ['nativeOwnsConnectionState', 'refuse', 'same', 'HostProgram'],
  ['provider', 'allow', 'same', 'OwnLogin'],
  ['providerContextId', 'refuse', 'same', 'HostProgram'],
  ['providerPresent', 'refuse', 'same', 'HostProgram'],
  ['providers', 'allow', 'same', 'OwnLogin'],
  ['remoteSession', 'allow', 'refuse', 'RemoteControl'],
  ['remoteSteerable', 'allow', 'refuse', 'RemoteControl'],
  ['requestedEnvironmentVariables', 'refuse', 'same', 'Credentials'],
];
