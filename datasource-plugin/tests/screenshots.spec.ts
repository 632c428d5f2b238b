/**
 * Makes the screenshots that are shipped with the plugin, from the real components: `npm run screenshots`.
 * The answer shown has the fields of the protocol test's golden, so it looks as the backend makes it.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { fakeSuggestions, test } from './harness/fixtures';
import { EVICTIONS } from './harness/questions';

const IMAGES = path.join(__dirname, '..', 'src', 'img');

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);

/** What the table shows: since, until, metric, score, peak, observed, expected, lower, upper, instance, job. */
const ROWS: Array<
  [number, number | null, string, number | null, number, number | null, number, number, number, string, string]
> = [
  [-22, null, 'node_load1', 3.31, 3.52, 9.16, 1.02, 0.48, 1.57, 'web-1:9100', 'node'],
  [-21, null, 'http_request_duration_seconds', 2.12, 2.4, 1.84, 0.22, 0.09, 0.41, 'web-1:8080', 'shop'],
  [-11, null, 'http_requests_total', 1.44, 1.45, 39.9, 118.2, 92.4, 141.0, 'web-1:8080', 'shop'],
  [-48, -36, 'node_disk_io_time_seconds_total', 0.31, 1.9, 0.12, 0.1, 0.02, 0.31, 'db-1:9100', 'node'],
  [-171, -168, 'go_goroutines', 0.55, 1.05, 214, 207, 160, 251, 'web-2:8080', 'shop'],
];

interface Field {
  name: string;
}

function answer() {
  const golden = JSON.parse(
    readFileSync(path.join(__dirname, '..', 'protocoltest', 'testdata', 'anomalies-table.json'), 'utf8')
  );
  const { schema } = golden.frames[0];
  const names = [
    'Since',
    'Until',
    'Metric',
    'Score',
    'Peak',
    'Observed',
    'Expected',
    'Lower',
    'Upper',
    'instance',
    'job',
  ];
  const fields = names.map((name) => schema.fields.find((field: Field) => field.name === name));
  const at = (minute: number | null) => (minute === null ? null : NOW + minute * MINUTE);
  const values = names.map((_, column) =>
    ROWS.map((row) => (column < 2 ? at(Number(row[column]) || null) : row[column]))
  );
  return { results: { A: { status: 200, frames: [{ schema: { ...schema, fields }, data: { values } }] } } };
}

/** The answer to a question as the protocol test's golden has it, with more rows. */
function evictions() {
  const golden = JSON.parse(
    readFileSync(path.join(__dirname, '..', 'protocoltest', 'testdata', 'ask-table.json'), 'utf8')
  );
  const { schema } = golden.frames[0];
  schema.meta.custom.ask.answer =
    'Evicted pods: 4 results: eu1 batch with 23, eu1 ml with 9, us1 batch with 4 and 1 more.';
  const values = [
    ['eu1', 'eu1', 'us1', 'us1'],
    ['batch', 'ml', 'batch', 'search'],
    [23, 9, 4, 1],
  ];
  return { results: { A: { status: 200, frames: [{ schema, data: { values } }] } } };
}

test.describe('screenshots @screenshots', () => {
  test.use({ deviceScaleFactor: 1 });

  test('anomalies table', async ({ page, open }) => {
    await page.setViewportSize({ width: 1280, height: 460 });
    await page.route('**/api/ds/query**', (route) => route.fulfill({ json: answer() }));
    await fakeSuggestions(page);
    await open({ kind: 'query', theme: 'dark', result: true });
    await page.getByTestId('result').getByText('node_load1').waitFor();
    await page.waitForLoadState('networkidle'); // icons are loaded one by one
    await page.screenshot({ path: path.join(IMAGES, 'anomalies-table.png') });
  });

  test('ask editor', async ({ page, open }) => {
    await page.setViewportSize({ width: 1280, height: 620 });
    await page.route('**/api/ds/query**', (route) => route.fulfill({ json: evictions() }));
    await open({ kind: 'query', theme: 'dark', result: true, query: { refId: 'A', queryType: 'ask', ask: EVICTIONS } });
    await page.getByTestId('result').getByText('batch').first().waitFor();
    await page.waitForLoadState('networkidle'); // icons are loaded one by one
    await page.screenshot({ path: path.join(IMAGES, 'ask-editor.png') });
  });

  test('query editor', async ({ page, open }) => {
    await page.setViewportSize({ width: 1280, height: 320 });
    await fakeSuggestions(page);
    await open({
      kind: 'query',
      theme: 'dark',
      query: {
        refId: 'A',
        queryType: 'anomalies',
        anomalies: {
          view: 'timeseries',
          metric: 'node_load1',
          show: ['observed', 'expected', 'band'],
          limit: 3,
          legend: '{{instance}}',
          matchers: [
            { label: 'job', op: '=', value: 'node' },
            { label: 'instance', op: '=~', value: '$instance' },
          ],
        },
      },
    });
    await page.getByRole('button', { name: 'Add label' }).waitFor();
    await page.waitForLoadState('networkidle'); // icons are loaded one by one
    await page.screenshot({ path: path.join(IMAGES, 'query-editor.png') });
  });

  test('config editor', async ({ page, open }) => {
    await page.setViewportSize({ width: 1000, height: 900 });
    await page.route('**/api/datasources/uid/P1/health', (route) =>
      route.fulfill({
        json: {
          status: 'OK',
          message: '',
          details: {
            addresses: [
              {
                name: 'prometheus',
                url: '',
                ok: true,
                message: 'Prometheus 3.15.0, 1284 anomaly scores',
                latencyMs: 6,
              },
              { name: 'receiver', url: '', ok: true, message: 'answers', latencyMs: 3 },
            ],
          },
        },
      })
    );
    await open({
      kind: 'config',
      theme: 'dark',
      options: {
        prometheusUrl: 'https://prometheus.example.org',
        receiverUrl: 'http://portent-receiver:9751',
        connections: { prometheus: { auth: 'basic', user: 'grafana' } },
      },
      secureJsonFields: { prometheusPassword: true },
    });
    await page.getByRole('button', { name: 'Test the saved addresses' }).click();
    await page.getByText('1284 anomaly scores').waitFor();
    await page.mouse.move(0, 0);
    await page.waitForLoadState('networkidle'); // icons are loaded one by one
    await page.screenshot({ path: path.join(IMAGES, 'config-editor.png'), fullPage: true });
  });
});
