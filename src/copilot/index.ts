/** The Copilot CLI server's wire protocol. It knows nothing of Kubernetes. docs/protocol.md has the facts behind it. */
export { getSessionSizes, getStatus, listSessions, ping } from './calls.ts';
export type { Pong, ServerStatus, SessionTimes } from './calls.ts';
export { Connection } from './connection.ts';
export type { CallOptions, ConnectionOptions } from './connection.ts';
export { AuthFailedError, CopilotError, ProtocolError, RpcError, TimeoutError, UnreachableError } from './errors.ts';
export { FrameDecoder, encodeFrame } from './framing.ts';
export type { FrameLimits } from './framing.ts';
export type { HealthSource, HealthTarget, ServerHealth, UnhealthyReason } from './health.ts';
export type {
  Deletion,
  ServerSessions,
  SessionActivity,
  SessionFacts,
  SessionSource,
  SessionUsage,
  SurveyTarget,
} from './sessions.ts';
export { DialPacer } from './pacer.ts';
export { jittered, retryDelay } from './retry.ts';
export { dialTcp } from './wire.ts';
export type { Dial, Timers, Wire, WireEvents } from './wire.ts';
