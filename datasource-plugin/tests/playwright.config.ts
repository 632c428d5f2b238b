import { defineConfig } from '@playwright/test';
import { existsSync } from 'node:fs';
import path from 'node:path';

/** The browser on this machine; Playwright downloads none. CHROME_PATH names another. */
function browser(): string {
  const given = process.env.CHROME_PATH;
  if (given) {
    return given;
  }
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const found = folders.flatMap((folder) => names.map((name) => path.join(folder, name))).find(existsSync);
  if (!found) {
    throw new Error(`No browser: none of ${names.join(', ')} is on PATH, and CHROME_PATH is not set.`);
  }
  return found;
}

export default defineConfig({
  testDir: '.',
  outputDir: '.build/results',
  globalSetup: './harness/setup.ts',
  workers: 2,
  grepInvert: process.env.SCREENSHOTS ? undefined : /@screenshots/,
  timeout: 45_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  forbidOnly: Boolean(process.env.CI),
  use: {
    browserName: 'chromium',
    actionTimeout: 10_000,
    viewport: { width: 1280, height: 900 },
    launchOptions: {
      executablePath: browser(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
