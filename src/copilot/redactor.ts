/** Keeps a connection token out of what is shown of a peer's messages. */

const REDACTED = '[token]';
/** A shorter token, chosen by hand, may be part of the protocol. */
const SHORTEST_SECRET = 16;

/** Removes one token from what a peer sends, in case it sends the token back. */
export class Redactor {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  /** A message before it is parsed: nothing that is derived from it holds the token, not even a quotation cut in its middle. */
  body(body: Buffer): Buffer {
    if (this.#token.length < SHORTEST_SECRET || !body.includes(this.#token)) return body;
    const bytes = Buffer.from(this.#token).toString('latin1');
    return Buffer.from(body.toString('latin1').replaceAll(bytes, REDACTED), 'latin1');
  }

  /** An error message, which ends in statuses and logs. */
  text(text: string): string {
    return this.#token === '' ? text : text.replaceAll(this.#token, REDACTED);
  }
}
