// A certificate authority that nobody trusts by default, as a company's own: for servers that must be told to trust it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A TLS certificate with its key, in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

export class PrivateCA implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), 'copilot-operator-ca-'));
  #issued = 0;

  constructor(name = 'company') {
    this.#openssl(`req -x509 ${NEW_KEY} -days 2 -keyout ca.key -out ca.crt -subj /CN=${name}`);
  }

  /** A file with the CA's certificate in PEM. */
  get file(): string {
    return join(this.#dir, 'ca.crt');
  }

  /** The CA's certificate in PEM. */
  get pem(): string {
    return readFileSync(this.file, 'utf8');
  }

  /** A certificate for these DNS names and IP addresses, such as `DNS:models.test` and `IP:127.0.0.1`. */
  issue(...subjects: readonly string[]): ServerCertificate {
    this.#issued += 1;
    const name = `server-${this.#issued}`;
    writeFileSync(join(this.#dir, `${name}.ext`), `subjectAltName=${subjects.join(',')}\n`);
    this.#openssl(`req ${NEW_KEY} -keyout ${name}.key -out ${name}.csr -subj /CN=server`);
    const issuer = '-CA ca.crt -CAkey ca.key -CAcreateserial -days 2';
    this.#openssl(`x509 -req -in ${name}.csr ${issuer} -extfile ${name}.ext -out ${name}.crt`);
    const read = (file: string) => readFileSync(join(this.#dir, file), 'utf8');
    return { cert: read(`${name}.crt`), key: read(`${name}.key`) };
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #openssl(command: string): void {
    execFileSync('openssl', command.split(' '), { cwd: this.#dir, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
