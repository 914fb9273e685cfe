import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { output } from './tools.ts';

/** Nobody's settings but these, and nobody's name. */
const AUTHOR = ['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];

/** A git repository of its own in a temporary directory, with the one branch `main`. */
export class GitRepository implements Disposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async make(): Promise<GitRepository> {
    const repository = new GitRepository(mkdtempSync(join(tmpdir(), 'git-')));
    await repository.#git('init', '--quiet', '--initial-branch=main');
    return repository;
  }

  get url(): string {
    return `file://${this.#dir}`;
  }

  /** Puts a file or a directory of the project into it. */
  copy(from: string, path: string): void {
    cpSync(from, join(this.#dir, path), { recursive: true });
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(join(this.#dir, path)), { recursive: true });
    writeFileSync(join(this.#dir, path), content);
  }

  remove(path: string): void {
    rmSync(join(this.#dir, path));
  }

  /** Commits everything as it is; gives back the commit's id. */
  async commit(message: string): Promise<string> {
    await this.#git('add', '--all');
    await this.#git(...AUTHOR, 'commit', '--quiet', `--message=${message}`);
    return (await this.#git('rev-parse', 'HEAD')).trim();
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #git(...args: string[]): Promise<string> {
    return output('git', ['-C', this.#dir, ...args]);
  }
}
