/** From a client to the server: each frame is looked into, and passed on as it is, or answered here. */
import {
  FrameBatch,
  FrameDecoder,
  formatAnswer,
  WRITE_CHECK_ID,
  formatError,
  formatRequest,
  isObject,
  type RequestId,
} from '../copilot/index.ts';
import { headerOf } from '../copilot/frame-header.ts';
import { toError } from '../kube/types/errors.ts';
import { EPOCHS_METHOD, GRANT_METHOD, GUARD_ERROR, GUARD_RULES } from '../resources/guard-protocol.ts';
import type { SessionGrant } from '../resources/session-grant.ts';
import type { CallKind } from './fence.ts';
import { scanCall, type ScannedFrame } from './scan-call.ts';
import { BULK_DELETE, classify, isWriteCheck } from './methods.ts';
import type { Refusal } from './refusals.ts';
import type { Caller, Sessions, UnderWay } from './sessions.ts';

/** The largest frame: of servers, the gateway takes none that is larger either. */
const MOST_FRAME_BYTES = 64 * 1024 * 1024;
/** Up to so many bytes a frame is copied, so that many leave in one write. */
const MOST_COPIED_BYTES = 16 * 1024;
const INVALID_REQUEST = -32_600;

type ScannedCall = Extract<ScannedFrame, { kind: 'call' }>;

/** What a connection does for its client's frames. */
export interface ClientFramesOptions {
  readonly caller: Caller;
  readonly sessions: Pick<Sessions, 'grant' | 'call' | 'epochs'>;
  /** @throws InvalidGrantError */
  readonly readGrant: (text: unknown) => SessionGrant;
  /** Sends bytes to the server. */
  readonly write: (bytes: Buffer) => void;
  /** Answers the client: the body of a frame. */
  readonly answer: (body: string) => void;
  /** Looks out for the server's answer; false: for one of the same id already. */
  readonly await: (id: RequestId, underWay: UnderWay) => boolean;
  /** One more, or with -1 one less, is to be passed on later. */
  readonly kept: (change: 1 | -1) => void;
  readonly refused: (method: string, refusal: Refusal) => void;
  /** The client has a grant that somebody with a key has signed. */
  readonly signed: () => void;
}

/** One connection's. */
export class ClientFrames {
  readonly #options: ClientFramesOptions;
  readonly #decoder: FrameDecoder;
  readonly #batch = new FrameBatch();
  /** Frames are gathered until the end of the chunk. */
  #isGathering = false;

  constructor(options: ClientFramesOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder((body) => this.#onBody(body), { maxBodyBytes: MOST_FRAME_BYTES });
  }

  /** Bytes of the client. @throws ProtocolError for what are no frames, and for a frame that is too large */
  push(chunk: Buffer): void {
    this.#isGathering = true;
    try {
      this.#decoder.push(chunk);
    } finally {
      this.#isGathering = false;
      this.#flush();
    }
  }

  /** Of a frame that has not arrived in full. */
  get partialBytes(): number {
    return this.#decoder.reservedBytes;
  }

  #onBody(body: Buffer): void {
    const frame = scanCall(body);
    if (frame.kind === 'answer') return this.#pass(body);
    if (frame.kind === 'call') return this.#onCall(frame, body);
    const { refused, answer } = this.#options;
    const refusal: Refusal = { rule: 'Malformed', message: GUARD_RULES.Malformed };
    refused('', refusal);
    answer(errorBody(frame.id, INVALID_REQUEST, refusal));
  }

  #onCall(call: ScannedCall, body: Buffer): void {
    const { method, sessionId } = call;
    if (method === GRANT_METHOD || method === EPOCHS_METHOD) return this.#onGrant(call, body);
    const kind = classify(method, sessionId);
    if (kind === 'Pass' || kind === 'Read') return this.#pass(body);
    if (method === BULK_DELETE && call.id !== undefined && isWriteCheck(paramsIn(body)['sessionIds']))
      // Written again, so that there is nothing in it that the server reads otherwise.
      return this.#pass(Buffer.from(formatRequest(call.id, method, { sessionIds: [WRITE_CHECK_ID] })));
    if (kind === 'Never' || sessionId === undefined)
      return this.#refuse(call, { rule: 'NotAllowed', message: `${method}: ${GUARD_RULES.NotAllowed}` });
    // Nobody would see when it has ended.
    if (kind !== 'Other' && call.id === undefined)
      return this.#refuse(call, { rule: 'Malformed', message: `${method} has to be a request` });
    this.#onGuarded(call, sessionId, kind, body);
  }

  #onGuarded(call: ScannedCall, session: string, kind: CallKind, body: Buffer): void {
    const { caller, sessions, kept } = this.#options;
    kept(1);
    let bytes = body;
    let hasBegun = false;
    const end = (then: () => void): void => {
      hasBegun = true;
      then();
      kept(-1);
    };
    sessions.call({
      caller,
      session,
      kind,
      bytes: body.length,
      pass: (underWay) => end(() => this.#passCall(call, bytes, underWay)),
      refuse: (refusal) => end(() => this.#refuse(call, refusal)),
    });
    // While it waits it is not to keep the whole chunk that it came in.
    if (!hasBegun) bytes = Buffer.from(body);
  }

  #passCall(call: ScannedCall, body: Buffer, underWay: UnderWay | undefined): void {
    if (underWay === undefined || call.id === undefined) return this.#pass(body);
    if (this.#options.await(call.id, underWay)) return this.#pass(body);
    void underWay.ended(false);
    this.#refuse(call, { rule: 'Malformed', message: 'a request of the same id is under way' });
  }

  #onGrant(call: ScannedCall, body: Buffer): void {
    const { readGrant, signed, kept, answer } = this.#options;
    let grant: SessionGrant;
    try {
      grant = readGrant(paramsIn(body)['grant']);
    } catch (error) {
      const { message } = toError(error);
      return this.#refuse(call, { rule: 'BadGrant', message: `the grant is refused: ${message}` });
    }
    signed();
    kept(1);
    void this.#asked(call.method, grant).then((result) => {
      kept(-1);
      if ('rule' in result) this.#refuse(call, result);
      else if (call.id !== undefined) answer(formatAnswer(call.id, result));
    });
  }

  async #asked(method: string, grant: SessionGrant): Promise<Refusal | object> {
    const { caller, sessions } = this.#options;
    if (method === GRANT_METHOD) return (await sessions.grant(caller, grant)) ?? { epoch: grant.epoch };
    const stamps = await sessions.epochs(grant);
    return 'rule' in stamps ? stamps : { stamps: stamps.map(({ holder, ...stamp }) => ({ ...holder, ...stamp })) };
  }

  #refuse({ id, method }: ScannedCall, refusal: Refusal): void {
    this.#options.refused(method, refusal);
    if (id !== undefined) this.#options.answer(refusalBody(id, refusal));
  }

  #pass(body: Buffer): void {
    if (body.length <= MOST_COPIED_BYTES) this.#batch.add(body);
    else {
      this.#flush();
      this.#options.write(Buffer.from(headerOf(body.length)));
      // The decoder is given chunks that stay as they are.
      this.#options.write(body);
    }
    if (!this.#isGathering) this.#flush();
  }

  #flush(): void {
    if (this.#batch.bytes === 0) return;
    const { frames, free } = this.#batch.take();
    // Its memory is not used again, because nobody says when it was sent.
    this.#options.write(free === undefined ? frames : Buffer.from(frames));
    free?.();
  }
}

/** The body of an answer that refuses. */
export function refusalBody(id: RequestId, refusal: Refusal): string {
  return errorBody(id, GUARD_ERROR, refusal);
}

function errorBody(id: RequestId | null, code: number, { rule, message, epoch, holder }: Refusal): string {
  return formatError(id as RequestId, code, message, { rule, epoch, holder });
}

/** Of a body that was scanned. */
function paramsIn(body: Buffer): Record<string, unknown> {
  const value: unknown = JSON.parse(body.toString());
  const params = isObject(value) ? value['params'] : undefined;
  return isObject(params) ? params : {};
}
