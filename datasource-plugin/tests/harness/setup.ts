import { existsSync } from 'node:fs';
import path from 'node:path';

/** Bundles the host page once for all tests. The plugin must have been built before. */
export default async function setup() {
  const built = path.join(__dirname, '..', '..', 'dist', 'module.js');
  if (!existsSync(built)) {
    throw new Error('dist/module.js is missing: run "npm run build" first');
  }
  const { buildHost } = await import('./build.mjs');
  await buildHost();
}
