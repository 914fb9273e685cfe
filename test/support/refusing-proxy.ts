/** A proxy in front of a real server that answers one method with an error, as a version of the server that lacks it would. */
import { connect } from 'node:net';
import { FrameDecoder, encodeFrame } from '../../src/copilot/index.ts';
import { RawPeer } from './raw-peer.ts';

export class RefusingProxy implements AsyncDisposable {
  readonly #peer: RawPeer;
  /** The error code by method; every other method is forwarded. */
  readonly refused: Map<string, number>;

  private constructor(peer: RawPeer, refused: Map<string, number>) {
    this.#peer = peer;
    this.refused = refused;
  }

  static async start(server: { readonly host: string; readonly port: number }): Promise<RefusingProxy> {
    const refused = new Map<string, number>();
    const peer = await RawPeer.listen((client) => {
      const upstream = connect(server.port, server.host);
      // Whole frames in both directions, so that an answer of the proxy never comes inside one of the server's.
      const toClient = new FrameDecoder((body) => client.write(encodeFrame(body.toString())));
      const toServer = new FrameDecoder((body) => {
        const { id, method = '' } = JSON.parse(body.toString()) as { id?: number; method?: string };
        const code = refused.get(method);
        const error = { code, message: `Unhandled method ${method}` };
        if (code === undefined) upstream.write(encodeFrame(body.toString()));
        else client.write(encodeFrame(JSON.stringify({ jsonrpc: '2.0', id, error })));
      });
      client.on('data', (chunk: Buffer) => toServer.push(chunk));
      upstream.on('data', (chunk: Buffer) => toClient.push(chunk));
      client.on('close', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
      upstream.on('close', () => client.destroy());
    });
    return new RefusingProxy(peer, refused);
  }

  get host(): string {
    return this.#peer.host;
  }

  get port(): number {
    return this.#peer.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer[Symbol.asyncDispose]();
  }
}
