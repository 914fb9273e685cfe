/** The certificate of the TLS listener, from files that somebody else renews. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Timers } from '../../copilot/index.ts';
import { toError } from '../../kube/types/errors.ts';
import { FollowedFiles } from '../followed-files.ts';

/** Where certificate and keys are; PEM. */
export interface CertificateFiles {
  /** The certificate, and behind it those that it is signed with. */
  readonly cert: string;
  readonly key: string;
  /** What the certificates of clients must be signed with; undefined: clients need none. */
  readonly clientCA: string | undefined;
}

/** Their content, as TLS servers take it. */
export interface CertificateContent {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
}

/** What is needed to follow the files. */
export interface CertificatesOptions {
  readonly files: CertificateFiles;
  readonly timers: Timers;
  readonly log: { info(facts: object, message: string): void; error(facts: object, message: string): void };
  /** Reads a file. Default: from disk. */
  readonly read?: ((path: string) => string) | undefined;
}

/** Reads the files, and again at intervals. Files that do not fit together change nothing. */
export class Certificates {
  readonly #options: CertificatesOptions;
  readonly #followed: FollowedFiles<CertificateContent>;

  /** @throws Error that names the files if they cannot be read, or do not fit together */
  constructor(options: CertificatesOptions) {
    this.#options = options;
    const { timers, log } = options;
    const files = this.#names();
    try {
      this.#followed = new FollowedFiles({
        read: () => this.#read(),
        isSame,
        timers,
        renewed: () => log.info({ files }, 'the TLS certificate was renewed'),
        failed: (error) => log.error({ files, error }, 'the new TLS certificate cannot be used; the one before stays'),
      });
    } catch (error) {
      throw new Error(`the TLS certificate cannot be used: ${toError(error).message} (${files})`, { cause: error });
    }
  }

  get content(): CertificateContent {
    return this.#followed.content;
  }

  /** Calls `changed` with each new content, until `stop`. */
  follow(changed: (content: CertificateContent) => void): void {
    this.#followed.follow(changed);
  }

  stop(): void {
    this.#followed.stop();
  }

  #read(): CertificateContent {
    const { files, read = (path: string): string => readFileSync(path, 'utf8') } = this.#options;
    const { cert, key, clientCA } = files;
    const content = {
      cert: read(cert),
      key: read(key),
      ca: clientCA === undefined ? undefined : read(clientCA),
    };
    // Throws if they do not belong together, as in the middle of a renewal.
    createSecureContext(content);
    return content;
  }

  #names(): string {
    const { cert, key, clientCA } = this.#options.files;
    return [cert, key, ...(clientCA === undefined ? [] : [clientCA])].join(', ');
  }
}

function isSame(a: CertificateContent, b: CertificateContent): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca;
}
