import { expect, Page, test as base } from '@playwright/test';

import type { PortentOptions, PortentQuery } from '../../src/types';
import { serve } from './server';

/** Which page the harness shows; see host.tsx. */
export interface Shown {
  kind: 'config' | 'query' | 'annotation' | 'help';
  theme?: 'light' | 'dark';
  options?: PortentOptions;
  secureJsonFields?: Record<string, boolean>;
  query?: PortentQuery;
  app?: string;
  readOnly?: boolean;
  result?: boolean;
  /** What the browser's console may say in this test, such as of an answer that is an error on purpose. */
  allowed?: RegExp;
}

/** What the page tells the test. */
export interface Seen {
  options: {
    jsonData: PortentOptions;
    secureJsonData?: Record<string, string>;
    secureJsonFields: Record<string, boolean>;
  };
  query: PortentQuery;
  runs: number;
  examples: PortentQuery[];
  defaults: Record<string, Partial<PortentQuery>>;
  errors: string[];
}

interface Fixtures {
  open: (shown: Shown) => Promise<void>;
  seen: () => Promise<Seen>;
}

export const test = base.extend<Fixtures, { address: string }>({
  address: [
    async ({}, use) => {
      const server = await serve();
      await use(server.url);
      server.close();
    },
    { scope: 'worker' },
  ],
  open: async ({ page, address }, use) => {
    const noise: string[] = [];
    let allowed: RegExp | undefined;
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        noise.push(`${message.text()} (${message.location().url})`);
      }
    });
    await page.route('**/api/**', (route) =>
      route.fulfill({ status: 404, json: { message: 'not faked: ' + route.request().url() } })
    );
    await use(async ({ allowed: pattern, ...shown }) => {
      allowed = pattern;
      await page.goto('about:blank'); // a change of the part after # alone does not load the page again
      await page.goto(`${address}/#${encodeURIComponent(JSON.stringify({ theme: 'light', ...shown }))}`);
      await expect(page.locator('main')).toBeVisible();
    });
    expect((await read(page)).errors, 'errors of the plugin').toEqual([]);
    expect(
      noise.filter((text) => !allowed?.test(text)),
      'console of the browser'
    ).toEqual([]);
  },
  seen: async ({ page }, use) => {
    await use(() => read(page));
  },
});

function read(page: Page): Promise<Seen> {
  return page.evaluate(() => JSON.parse(JSON.stringify((window as unknown as { seen: unknown }).seen)));
}

/** Answers the suggestion resources from a small fleet. */
export async function fakeSuggestions(page: Page) {
  const answers: Record<string, string[]> = {
    metrics: ['node_load1', 'node_memory_MemAvailable_bytes', 'http_requests_total'],
    labels: ['instance', 'job', 'namespace'],
    'label-values?instance': ['db-1:9100', 'web-1:9100', 'web-2:9100'],
    'label-values?job': ['node', 'shop'],
    'label-values?namespace': ['pay', 'shop'],
    suggest: ['memory use of containers', 'evicted pods', 'memory by pod', 'memory of cart', 'use of volumes'],
  };
  const asked: URL[] = [];
  await page.route('**/resources/**', (route) => {
    const url = new URL(route.request().url());
    asked.push(url);
    const resource = url.pathname.split('/').pop() ?? '';
    if (resource === 'explain') {
      return route.fallback();
    }
    const label = url.searchParams.get('label');
    const all = answers[label ? `${resource}?${label}` : resource] ?? [];
    const text = url.searchParams.get('q') ?? '';
    return route.fulfill({ json: { values: all.filter((v) => v.includes(text)), truncated: false } });
  });
  return asked;
}

export { expect };
