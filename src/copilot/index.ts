/** The Copilot CLI server's wire protocol, which knows nothing of Kubernetes. docs/protocol.md has the facts behind it. */
export { activityOf, journalState } from './activity.ts';
export type { JournalState } from './activity.ts';
export { Client } from './client.ts';
export type { CallOptions, ClientOptions, Requester } from './client.ts';
export { setDeadline } from './deadline.ts';
export type { Timers } from './deadline.ts';
export {
  AuthFailedError,
  CopilotError,
  ProtocolError,
  RefusedError,
  METHOD_NOT_FOUND,
  RpcError,
  TimeoutError,
  UnreachableError,
  messageOf,
  unquotedMessageOf,
} from './errors.ts';
export { FrameConnection } from './frame-connection.ts';
export type { FrameConnectionOptions } from './frame-connection.ts';
export { EventRuns } from './event-run.ts';
export type { EventRun, RunTaker } from './event-run.ts';
export { FrameBatch } from './frame-batch.ts';
export { encodeFrame } from './frame-header.ts';
export { FrameDecoder } from './framing.ts';
export type { FrameLimits, OversizeReader } from './framing.ts';
export type { UnhealthyReason } from './errors.ts';
export { getServerTime, getStatus, ping } from './server-calls.ts';
export type { Pong, ServerStatus } from './server-calls.ts';
export {
  closeSession,
  deleteSession,
  getActivity,
  getClientMetadata,
  getSessionSizes,
  getSessionTimes,
  listSessions,
  updateClientMetadata,
} from './session-calls.ts';
export type { ClientMetadata, SessionTimes } from './session-calls.ts';
export type { Deletion, SessionActivity, SessionUsage } from './session.ts';
export { isSessionId } from './session-id.ts';
export { isObject } from './answer.ts';
export { formatAnswer, formatError, formatNotification, formatRequest, parseMessage } from './message.ts';
export type { Message, RequestId } from './message.ts';
export { answerFor, scanAnswer, scanAnswerId, scanEnvelope, scanEvent } from './scan.ts';
export type { AnswerHead, EventEnvelope, EventHead } from './scan.ts';
export { readJournal } from './journal.ts';
export type { EventUsage, JournalEvent, JournalPage, JournalRange } from './journal.ts';
export { Peer, RequestRefusal } from './peer.ts';
export type { PeerOptions, RequestOptions } from './peer.ts';
export { EMPTY_SUM, sumUsage } from './usage.ts';
export type { UsageMark, UsageSum } from './usage.ts';
export { findWriteError, WRITE_CHECK_ID } from './write-check.ts';
export type { WriteError } from './write-check.ts';
export { acceptedWire, addressOf, dialTcp, dialTcpGathering, dialTcpWhile } from './wire.ts';
export type { Dial, Wire, WireEvents } from './wire.ts';
