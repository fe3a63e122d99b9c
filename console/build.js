// SPDX-License-Identifier: Apache-2.0
// Bundles the console: build.js OUT_FOLDER writes console.js and console.css there. Called by console/meson.build.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const bundled = ['preact', 'uplot'];

for (const name of [...bundled, 'esbuild']) {
  if (!existsSync(join(here, 'node_modules', name))) {
    console.error(`The console's npm package '${name}' is not installed. Either './run build' does that and all else,
or, with npm's registry reachable:

    npm --prefix ${here} ci

then build again.`);
    process.exit(1);
  }
}

// Their licences ask that the notice goes with every copy.
const notice = bundled.map((name) => `${name}: ${readFileSync(join(here, 'node_modules', name, 'LICENSE'), 'utf8').trim()}`);
const { build } = await import('esbuild');
await build({
  entryPoints: { console: join(here, 'src', 'main.tsx') },
  outdir: process.argv[2],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  banner: { js: `/* Isthmus, SPDX-License-Identifier: Apache-2.0. It contains:\n\n${notice.join('\n\n')}\n*/` },
  logLevel: 'warning',
});
