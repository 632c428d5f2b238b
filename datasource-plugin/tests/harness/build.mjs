// Bundles host.tsx for the browser. Only the published packages go into it; the plugin is loaded at run time.
import { build } from 'esbuild';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

export const OUT = path.join(here, '..', '.build', 'host.js');

export function buildHost() {
  return build({
    entryPoints: [path.join(here, 'host.tsx')],
    outfile: OUT,
    bundle: true,
    minify: true, // a third of the size, and of the time that the browser reads it
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'window' },
    loader: { '.ttf': 'empty' }, // of the code editor, which the plugin does not use
    logLevel: 'silent',
  });
}
