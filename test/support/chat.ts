/** The real Copilot SDK as a client of a tenant's server: what the demo and the end-to-end tests chat with. */
import { approveAll, CopilotClient, RuntimeConnection } from '@github/copilot-sdk';
import type { ProviderConfig, SessionConfig, SessionEvent } from '@github/copilot-sdk';

/** What an application needs to know of a tenant. */
export interface Binding {
  host: string;
  port: number;
  /** The connection token. */
  token: string;
  /** Model and provider for each session; without them the server's own GitHub login answers. */
  model?: string;
  provider?: ProviderConfig;
}

/** Reads a binding Secret's `data`. The provider is the client's to pass on, unless the gateway gives it to sessions (docs/guide.md). */
export function bindingFrom(data: Record<string, string>): Binding {
  const value = (key: string) => (data[key] === undefined ? undefined : Buffer.from(data[key], 'base64').toString());
  const host = value('host');
  const token = value('token');
  if (host === undefined || token === undefined) throw new Error('the binding Secret has no host or no token');
  const binding: Binding = { host, port: Number(value('port')), token };
  const baseUrl = value('model-provider-base-url');
  if (baseUrl === undefined || value('model-injection') === 'Gateway') return binding;
  const provider = {
    baseUrl,
    type: value('model-provider-type'),
    wireApi: value('model-provider-wire-api'),
    apiKey: value('model-provider-api-key'),
    headers: JSON.parse(value('model-provider-headers') ?? '{}') as Record<string, string>,
  } as ProviderConfig;
  return { ...binding, model: value('model') ?? '', provider };
}

export interface ChatOptions {
  prompt: string;
  /** Goes on with this session instead of making one. */
  resume?: string;
  /** Id of the session to make. Default: the server chooses one. */
  sessionId?: string;
  /** Called with each piece of the answer as it comes. */
  onDelta?: (text: string) => void;
  /** Milliseconds until the answer must be complete. Default 60000. */
  timeoutMs?: number;
}

export interface ChatResult {
  sessionId: string;
  answer: string;
  serverVersion: string;
}

/** Connects, says one thing, waits for the whole answer, and leaves the session on the server. */
export async function chat(binding: Binding, options: ChatOptions): Promise<ChatResult> {
  const { prompt, resume, sessionId, onDelta, timeoutMs = 60_000 } = options;
  return withClient(binding, async (client) => {
    const { version } = await client.getStatus();
    const config: SessionConfig = { onPermissionRequest: approveAll, streaming: onDelta !== undefined };
    if (sessionId !== undefined) config.sessionId = sessionId;
    if (binding.model !== undefined) config.model = binding.model;
    if (binding.provider) config.provider = binding.provider;
    const session = resume ? await client.resumeSession(resume, config) : await client.createSession(config);
    if (onDelta) session.on('assistant.message_delta', (event) => onDelta(event.data.deltaContent));
    const message = await session.sendAndWait({ prompt }, timeoutMs);
    if (!message) throw new Error(`session ${session.sessionId} ended its turn without an answer`);
    await session.disconnect();
    return { sessionId: session.sessionId, answer: message.data.content, serverVersion: version };
  });
}

/**
 * Goes on with a session whose client was lost in the middle of a turn, and waits for the answer to what that one has said.
 * @throws Error if no turn runs any more
 */
export async function follow(binding: Binding, resume: string, timeoutMs = 60_000): Promise<string> {
  return withClient(binding, async (client) => {
    const { promise: answered, resolve, reject } = Promise.withResolvers<string>();
    let answer = '';
    const onEvent = (event: SessionEvent): void => {
      if (event.type === 'assistant.message') answer = event.data.content;
      if (event.type === 'session.idle') resolve(answer);
    };
    const session = await client.resumeSession(resume, { onPermissionRequest: approveAll, onEvent });
    const { hasActiveWork } = await session.rpc.metadata.activity();
    if (!hasActiveWork) throw new Error(`session ${resume} is in the middle of no turn`);
    const timer = setTimeout(() => reject(new Error(`session ${resume} gave no answer`)), timeoutMs);
    try {
      return await answered;
    } finally {
      clearTimeout(timer);
      await session.disconnect();
    }
  });
}

/** Runs `use` with a started client and stops the client whatever happens. */
export async function withClient<T>(binding: Binding, use: (client: CopilotClient) => Promise<T>): Promise<T> {
  const { host, port, token } = binding;
  const client = new CopilotClient({
    connection: RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token }),
  });
  try {
    await client.start();
    return await use(client);
  } finally {
    await client.stop();
  }
}
