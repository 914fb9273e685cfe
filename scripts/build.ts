/**
 * Bundles the operator into dist, with the licences of the bundled packages beside it. A bundle starts in half the time of
 * the unbundled dependencies and takes about 55 MB less memory (docs/adr/0005-toolchain.md).
 */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Metafile, Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');

// CommonJS dependencies use require() and __dirname, which an ES module doesn't have.
const banner = [
  `import { createRequire as __createRequire } from 'node:module';`,
  `const require = __createRequire(import.meta.url);`,
  `const __filename = import.meta.filename, __dirname = import.meta.dirname;`,
].join(' ');

// Optional native parts of dependencies, which work without them.
const external = ['utf-8-validate', 'bufferutil', 'supports-color'];

/**
 * Lets esbuild drop the unused parts of client-node, all but KubeConfig: 500 KB of code and 12 MB of memory. Its modules have
 * no side effects (polyfill.js does nothing on this Node), but its package.json does not say so.
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

/** Bundles `entry` into `outdir` and returns what the bundle is made of. */
export async function bundle(entry: string, outdir: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir,
    bundle: true,
    // What only one command needs (zod, for `crds`) is a file of its own.
    splitting: true,
    plugins: [shakeClientNode],
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Not the identifiers: names of errors and classes appear in logs. `keepNames` instead would set a property on every
    // function whenever it is created: a twentieth of the CPU of an idle operator.
    minifyWhitespace: true,
    minifySyntax: true,
    // For stack traces; node reads the map only with --enable-source-maps.
    sourcemap: 'linked',
    // Without the text of our sources, which the repository has.
    sourcesContent: false,
    // They are in THIRD-PARTY-LICENSES. With one umlaut in an author's name, V8 stores two bytes for each character of code.
    legalComments: 'none',
    external,
    banner: { js: banner },
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** Licence texts of the packages in a bundle, which copies must include. */
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
