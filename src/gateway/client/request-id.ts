/** Finds the id of a message that is too large to be kept, while its bytes pass by. */
import type { RequestId } from '../../copilot/index.ts';

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
/** A key or an id; longer ones are neither of those that are looked for. */
const LONGEST_TEXT = 260;

/** Reads the keys of the outermost object only; of everything else it keeps how deep it is nested. */
export class RequestIdScanner {
  /** Whether the message has a `method`: it is a request or a notification, and else an answer. */
  hasMethod = false;
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** Whether what is being read is the value of a key. */
  #inValue = false;
  #key = '';
  /** The key or scalar value that is being read, as it stands in the message. */
  #text = '';
  #id: string | undefined;

  /** The id; undefined: there is none, or none that is a number or a string. */
  get id(): RequestId | undefined {
    if (this.#id === undefined) return undefined;
    try {
      const id: unknown = JSON.parse(this.#id);
      return typeof id === 'string' || typeof id === 'number' ? id : undefined;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  push(bytes: Buffer): void {
    for (const byte of bytes) {
      if (this.#inString) this.#takeInString(byte);
      else this.#take(byte);
    }
  }

  #take(byte: number): void {
    switch (byte) {
      case QUOTE:
        this.#inString = true;
        this.#keep(byte);
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        this.#depth += 1;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        if (this.#depth === 1) this.#endValue();
        this.#depth -= 1;
        break;
      case COLON:
        if (this.#depth === 1) this.#endKey();
        break;
      case COMMA:
        if (this.#depth === 1) this.#endValue();
        break;
      default:
        // Not white space.
        if (byte > 0x20) this.#keep(byte);
    }
  }

  #takeInString(byte: number): void {
    this.#keep(byte);
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) this.#inString = false;
  }

  #keep(byte: number): void {
    if (this.#depth === 1 && this.#text.length < LONGEST_TEXT) this.#text += String.fromCharCode(byte);
  }

  #endKey(): void {
    this.#key = this.#text;
    this.#text = '';
    this.#inValue = true;
    if (this.#key === '"method"') this.hasMethod = true;
  }

  #endValue(): void {
    // The first of several ids: whoever sends two gets an answer to one.
    if (this.#inValue && this.#key === '"id"') this.#id ??= this.#text;
    this.#inValue = false;
    this.#text = '';
  }
}
