/** Parameters of calls in a session: prompts, models, modes, logins. */
import type { ParamLine } from '../param-line.ts';

/** Of one message, in the order of names: parameter, whether it is allowed in a Dedicated tenant, in a Shared one, why. */
export const MESSAGE_PARAMS: readonly ParamLine[] = [
  ['attachments', 'allow', 'same', 'Prompt'],
  ['attachments.*.base.path', 'allow', 'refuse', 'AgentRights'],
  ['attachments.*.filePath', 'allow', 'refuse', 'AgentRights'],
  ['attachments.*.head.path', 'allow', 'refuse', 'AgentRights'],
  ['attachments.*.path', 'allow', 'refuse', 'AgentRights'],
  ['billable', 'allow', 'same', 'Prompt'],
  ['displayPrompt', 'allow', 'same', 'Prompt'],
  ['prompt', 'allow', 'same', 'Prompt'],
  ['requiredTool', 'allow', 'same', 'Prompt'],
  ['source', 'allow', 'same', 'Prompt'],
];

/** Of the turn that messages start. */
export const TURN_PARAMS: readonly ParamLine[] = [
  ['agentMode', 'allow', 'same', 'Session'],
  ['mode', 'allow', 'same', 'Session'],
  ['prepend', 'allow', 'same', 'Session'],
  ['requestHeaders', 'allow', 'refuse', 'ProviderHeaders'],
  ['responseFormat', 'allow', 'same', 'Session'],
  ['sessionId', 'allow', 'same', 'Session'],
  ['traceparent', 'allow', 'same', 'Session'],
  ['tracestate', 'allow', 'same', 'Session'],
  ['wait', 'allow', 'same', 'Session'],
];

/** Of `session.queue.insertAt`, beside the message. */
export const INSERT_PARAMS: readonly ParamLine[] = [
  ['message', 'allow', 'same', 'Prompt'],
  ['message.delivery', 'allow', 'same', 'Session'],
  ['position', 'allow', 'same', 'Session'],
  ['sessionId', 'allow', 'same', 'Session'],
];

/** Of `session.queue.appendSteering`. */
export const STEERING_PARAMS: readonly ParamLine[] = [
  ['agentMode', 'allow', 'same', 'Session'],
  ['attachments', 'allow', 'same', 'Prompt'],
  ['attachments.*.base.path', 'allow', 'refuse', 'AgentRights'],
  ['attachments.*.filePath', 'allow', 'refuse', 'AgentRights'],
  ['attachments.*.head.path', 'allow', 'refuse', 'AgentRights'],
  ['attachments.*.path', 'allow', 'refuse', 'AgentRights'],
  ['displayPrompt', 'allow', 'same', 'Prompt'],
  ['expectedPrompt', 'allow', 'same', 'Prompt'],
  ['messageId', 'allow', 'same', 'Session'],
  ['prompt', 'allow', 'same', 'Prompt'],
  ['sessionId', 'allow', 'same', 'Session'],
];

/** Of `session.model.switchTo`. */
export const MODEL_PARAMS: readonly ParamLine[] = [
  ['autoTier', 'allow', 'same', 'Session'],
  ['compactionDecision', 'allow', 'same', 'Session'],
  ['contextTier', 'allow', 'same', 'Session'],
  ['deferIfModelChangeQueued', 'allow', 'same', 'Session'],
  ['modelCapabilities', 'allow', 'same', 'Session'],
  ['modelChangeScope', 'allow', 'same', 'Session'],
  ['modelId', 'allow', 'same', 'Session'],
  ['pickerPersistence', 'refuse', 'same', 'Settings'],
  ['providerId', 'allow', 'same', 'Session'],
  ['reasoningEffort', 'allow', 'same', 'Session'],
  ['reasoningSummary', 'allow', 'same', 'Session'],
  ['repoScope', 'refuse', 'same', 'Settings'],
  ['requireAvailable', 'allow', 'same', 'Session'],
  ['runCompactionPreflight', 'allow', 'same', 'Session'],
  ['sessionId', 'allow', 'same', 'Session'],
  ['source', 'allow', 'same', 'Session'],
  ['verbosity', 'allow', 'same', 'Session'],
];

/** Of `session.mode.set`. */
export const MODE_PARAMS: readonly ParamLine[] = [
  ['compactionDecision', 'allow', 'same', 'Session'],
  ['expectedMode', 'allow', 'same', 'Session'],
  ['inheritPlanBaseFromSessionId', 'allow', 'refuse', 'CrossSession'],
  ['mode', 'allow', 'same', 'Session'],
  ['persistPlanSelection', 'refuse', 'same', 'Settings'],
  ['pickerSettingsContext', 'refuse', 'same', 'Settings'],
  ['planContextTier', 'allow', 'same', 'Session'],
  ['planExitAction', 'allow', 'same', 'Session'],
  ['planModel', 'allow', 'same', 'Session'],
  ['planModelConfigured', 'allow', 'same', 'Session'],
  ['planModelProviderId', 'allow', 'same', 'Session'],
  ['planReasoningEffort', 'allow', 'same', 'Session'],
  ['restorePlanModel', 'allow', 'same', 'Session'],
  ['sessionId', 'allow', 'same', 'Session'],
];

/** Of `session.gitHubAuth.setCredentials`. */
export const LOGIN_PARAMS: readonly ParamLine[] = [
  ['credentials', 'allow', 'same', 'OwnLogin'],
  // Some kinds of credentials name a login of the server, whose token would go to these addresses.
  ['credentials.copilotUser.endpoints', 'refuse', 'same', 'KeyDestination'],
  ['sessionId', 'allow', 'same', 'Session'],
];

/** Of `session.provider.add`. */
export const PROVIDER_PARAMS: readonly ParamLine[] = [
  ['models', 'allow', 'same', 'OwnLogin'],
  ['providers', 'allow', 'same', 'OwnLogin'],
  ['providers.*.apiKeyCommand', 'allow', 'refuse', 'AgentRights'],
  ['sessionId', 'allow', 'same', 'Session'],
];

/** Of `sessions.open`, beside the options of the session. */
export const OPEN_PARAMS: readonly ParamLine[] = [
  ['context', 'allow', 'refuse', 'CrossSession'],
  ['emitStart', 'allow', 'same', 'Session'],
  ['kind', 'allow', 'same', 'Session'],
  ['metadata', 'allow', 'refuse', 'RemoteControl'],
  ['onConfirm', 'allow', 'same', 'Session'],
  ['onProgress', 'allow', 'same', 'Session'],
  ['onTaskCreated', 'allow', 'same', 'Session'],
  ['options', 'allow', 'same', 'Session'],
  ['owner', 'allow', 'refuse', 'RemoteControl'],
  ['remoteSessionId', 'allow', 'refuse', 'RemoteControl'],
  ['repository', 'allow', 'refuse', 'RemoteControl'],
  ['resume', 'allow', 'same', 'Session'],
  ['sessionId', 'allow', 'same', 'Session'],
  ['suppressResumeWorkspaceMetadataWriteback', 'allow', 'same', 'Session'],
  ['taskType', 'allow', 'refuse', 'RemoteControl'],
];

/** Of `session.delete`, which takes a path, too. */
export const DELETE_PARAMS: readonly ParamLine[] = [
  ['sessionId', 'allow', 'same', 'Session'],
  ['sessionPath', 'allow', 'refuse', 'AgentRights'],
];
