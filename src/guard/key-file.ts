/** The file of public keys, which may be replaced while the guard runs. */
import { readFileSync, statSync } from 'node:fs';
import { toError } from '../kube/types/errors.ts';
import { grantVerifiers, type GrantVerifier } from '../resources/session-grant.ts';

/** Looks at the file whenever keys are needed, which is once for each load of a session. */
export class KeyFile {
  readonly #path: string;
  readonly #failed: (message: string) => void;
  #keys: readonly GrantVerifier[] = [];
  /** Of the file that was read last. */
  #version = '';
  /** What was wrong at the last look. */
  #problem: string | undefined;

  /** `failed` is called once for each reason why the file can't be used; the keys before stay. */
  constructor(path: string, failed: (message: string) => void) {
    this.#path = path;
    this.#failed = failed;
  }

  /** None while there has been no file that can be used. */
  get keys(): readonly GrantVerifier[] {
    try {
      this.#look();
      this.#problem = undefined;
    } catch (error) {
      const { message } = toError(error);
      if (message !== this.#problem) this.#failed(`${this.#path}: ${message}`);
      this.#problem = message;
    }
    return this.#keys;
  }

  #look(): void {
    // A mounted ConfigMap is a link to another directory after each change.
    const { ino, mtimeMs, size } = statSync(this.#path);
    const version = `${ino} ${mtimeMs} ${size}`;
    if (version === this.#version) return;
    this.#keys = grantVerifiers(readFileSync(this.#path, 'utf8'));
    this.#version = version;
  }
}
