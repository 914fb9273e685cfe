/**
 * Bundles the operator into dist, and writes the licences of what went in beside it. A bundle starts in half the time of
 * the unbundled dependencies and takes about 55 MB less memory (docs/adr/0005-toolchain.md).
 */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Metafile, Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');

// Dependencies that are CommonJS call require() and read __dirname, which an ES module doesn't have.
const banner = [
  `import { createRequire as __createRequire } from 'node:module';`,
  `const require = __createRequire(import.meta.url);`,
  `const __filename = import.meta.filename, __dirname = import.meta.dirname;`,
].join(' ');

// Optional native parts of dependencies; each is looked for at run time and done without.
const external = ['utf-8-validate', 'bufferutil', 'supports-color'];

/**
 * Lets esbuild drop what we don't use of client-node: all but KubeConfig, or 500 KB of code and 12 MB of memory. Its modules
 * only define things (polyfill.js does nothing on this Node), but its package.json does not say so.
 */
const shakeClientNode: Plugin = {
  name: 'shake-client-node',
  setup(esbuild) {
    esbuild.onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path, importer, resolveDir }) =>
      importer.includes('@kubernetes/client-node/dist/')
        ? { path: join(resolveDir, path), sideEffects: false }
        : undefined,
    );
  },
};

/** Bundles `entry` into `outdir` and returns what went in. */
export async function bundle(entry: string, outdir: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir,
    bundle: true,
    // What only another command needs (zod, for `crds`) is a file of its own, and what nobody imports is left out.
    splitting: true,
    plugins: [shakeClientNode],
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // But for names: those of errors and classes are part of the logs. To keep them by `keepNames` would set a property on
    // every function whenever it is made: a twentieth of the CPU of an operator at rest.
    minifyWhitespace: true,
    minifySyntax: true,
    // A stack trace with real places is worth the file's megabytes on disk; node reads it only with --enable-source-maps.
    sourcemap: 'linked',
    // The map leaves our sources' text out: places and names are enough, the repository has the rest.
    sourcesContent: false,
    // They are in THIRD-PARTY-LICENSES. One author's umlaut among them, and V8 keeps two bytes for each character of code.
    legalComments: 'none',
    external,
    banner: { js: banner },
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** Licence texts of the packages that a bundle contains: their terms ask that copies carry them. */
export async function licences({ inputs }: Metafile): Promise<string> {
  const folders = new Set<string>();
  for (const input of Object.keys(inputs)) {
    const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (folder !== undefined) folders.add(folder);
  }
  const texts = [...folders].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8')) as Record<
      string,
      string
    >;
    const file = (await readdir(join(root, folder))).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? '' : await readFile(join(root, folder, file), 'utf8');
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${'-'.repeat(80)}\n\n`);
}

if (import.meta.main) {
  const dist = join(root, 'dist');
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist);
  const metafile = await bundle('src/main.ts', 'dist');
  await writeFile(join(dist, 'THIRD-PARTY-LICENSES'), await licences(metafile));
  await copyFile(join(root, 'LICENSE'), join(dist, 'LICENSE'));
}
