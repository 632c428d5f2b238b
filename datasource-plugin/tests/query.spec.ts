import { EVICTIONS, fakeExplain, FROZEN } from './harness/questions';
import { expect, fakeSuggestions, test } from './harness/fixtures';

test('the first query is a sensible one everywhere', async ({ open, seen }) => {
  await open({ kind: 'query' });
  const { query, defaults } = await seen();
  expect(query).toEqual({ refId: 'A', queryType: 'anomalies', anomalies: { view: 'table' } });
  expect(defaults['dashboard']).toEqual({ queryType: 'anomalies', anomalies: { view: 'table' } });
  expect(defaults['unified-alerting']).toEqual({ queryType: 'anomalies', anomalies: { view: 'numeric' } });
});

test('fills in an anomalies query', async ({ page, open, seen }) => {
  const asked = await fakeSuggestions(page);
  await open({ kind: 'query' });

  await page.getByRole('radio', { name: 'Time series' }).check();
  await page.getByRole('combobox', { name: 'Metric' }).click();
  await page.getByRole('option', { name: 'node_load1' }).click();
  const above = page.getByRole('spinbutton', { name: /^Score above/ });
  await above.fill('0.8');
  await above.press('Enter');
  await page.getByRole('spinbutton', { name: /^At most/ }).fill('5');
  await page.getByRole('spinbutton', { name: /^At most/ }).blur();

  await page.getByRole('button', { name: 'Add label' }).click();
  const matcher = page.getByRole('group', { name: 'Label matcher 1' });
  await matcher.getByLabel('Label', { exact: true }).click();
  await page.getByRole('option', { name: 'instance' }).click();
  await matcher.getByLabel('Operator').click();
  await page.getByRole('option', { name: /fits the pattern/ }).click();
  // What is typed before the values are there would give up asking for them.
  const listed = page.waitForRequest((request) => new URL(request.url()).pathname.endsWith('/label-values'));
  await matcher.getByLabel('Value').click();
  await listed;
  await matcher.getByLabel('Value').fill('web-.*');
  await page.getByRole('option', { name: /web-\.\*/ }).click();

  await page.getByRole('combobox', { name: 'Lines' }).click();
  await page.getByRole('option', { name: 'Band' }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('textbox', { name: /^Legend/ }).fill('{{instance}}');
  await page.getByRole('textbox', { name: /^Legend/ }).press('Enter');

  const { query, runs } = await seen();
  expect(query).toEqual({
    refId: 'A',
    queryType: 'anomalies',
    anomalies: {
      view: 'timeseries',
      metric: 'node_load1',
      threshold: 0.8,
      limit: 5,
      matchers: [{ label: 'instance', op: '=~', value: 'web-.*' }],
      show: ['score', 'band'],
      legend: '{{instance}}',
    },
  });
  expect(runs).toBeGreaterThanOrEqual(8);

  // Suggestions are narrowed by what is chosen already, within the time range of the panel.
  const values = asked.filter((url) => url.pathname.endsWith('/label-values')).pop();
  expect(values?.searchParams.get('metric')).toBe('node_load1');
  expect(values?.searchParams.get('label')).toBe('instance');
  expect(Number(values?.searchParams.get('to')) - Number(values?.searchParams.get('from'))).toBe(6 * 3600 * 1000);
});

test('a label is removed', async ({ page, open, seen }) => {
  await open({
    kind: 'query',
    query: {
      refId: 'A',
      queryType: 'anomalies',
      anomalies: {
        matchers: [
          { label: 'a', op: '=', value: '1' },
          { label: 'b', op: '!=', value: '2' },
        ],
      },
    },
  });
  await page.getByRole('button', { name: 'Remove label matcher 1' }).click();
  expect((await seen()).query.anomalies?.matchers).toEqual([{ label: 'b', op: '!=', value: '2' }]);
});

test('a number that cannot be is said and not sent', async ({ page, open, seen }) => {
  await open({ kind: 'query' });
  const limit = page.getByRole('spinbutton', { name: /^At most/ });
  for (const text of ['0', '1001', '1.5', '']) {
    await limit.fill(text);
    await limit.blur();
    await expect(page.getByRole('alert')).toContainText('Want a whole number, 1 to 1000');
    expect((await seen()).query.anomalies?.limit).toBeUndefined();
  }
  await limit.fill('7');
  await limit.blur();
  await expect(page.getByRole('alert')).toHaveCount(0);
  expect((await seen()).query.anomalies?.limit).toBe(7);
});

test('fills in an incidents query and comes back to the anomalies', async ({ page, open, seen }) => {
  await fakeSuggestions(page);
  await open({
    kind: 'query',
    query: { refId: 'A', queryType: 'anomalies', anomalies: { view: 'numeric', metric: 'up' } },
  });
  await page.getByRole('radio', { name: 'Incidents' }).check();
  await page.getByRole('combobox', { name: 'Status' }).click();
  await page.getByRole('option', { name: 'Open' }).click();
  await page.getByRole('combobox', { name: 'Severity' }).click();
  await page.getByRole('option', { name: 'Warning' }).click();
  await page.getByRole('option', { name: 'Critical' }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('radio', { name: 'Numbers' }).check();
  const { query } = await seen();
  expect(query.queryType).toBe('incidents');
  expect(query.incidents).toEqual({ status: 'open', severity: ['critical', 'warning'], view: 'numeric' });

  await page.getByRole('radio', { name: 'Anomalies' }).check();
  expect((await seen()).query.anomalies).toEqual({ view: 'numeric', metric: 'up' });
  await expect(page.getByRole('combobox', { name: 'Metric' })).toHaveValue('up');
});

test('suggestions that fail leave the editor usable', async ({ page, open, seen }) => {
  await page.route('**/resources/**', (route) => route.fulfill({ status: 502, json: { error: 'Prometheus is down' } }));
  await open({ kind: 'query', allowed: /502 \(Bad Gateway\)|Error loading async options/ });
  await page.getByRole('combobox', { name: 'Metric' }).fill('my_metric');
  await page.getByRole('option', { name: /my_metric/ }).click();
  expect((await seen()).query.anomalies?.metric).toBe('my_metric');
});

test('an annotation has no view to choose', async ({ page, open }) => {
  await open({
    kind: 'annotation',
    query: { refId: 'Anno', queryType: 'anomalies', anomalies: { view: 'annotations' } },
  });
  await expect(page.getByRole('combobox', { name: 'Metric' })).toBeVisible();
  await expect(page.getByRole('radio', { name: 'Time series' })).toHaveCount(0);
  await expect(page.getByRole('spinbutton', { name: /^Score above/ })).toHaveValue('1');
});

test('an annotation by a question keeps that it is one when it is asked', async ({ page, open, seen }) => {
  await fakeSuggestions(page);
  const asked = await fakeExplain(page, () => ({}));
  await open({
    kind: 'annotation',
    query: { refId: 'Anno', queryType: 'anomalies', anomalies: { view: 'annotations' }, ask: { view: 'annotations' } },
  });
  await expect(page.getByRole('radio', { name: 'Forecast' })).toHaveCount(0);
  await page.getByRole('radio', { name: 'Ask' }).click();
  await page.getByRole('combobox', { name: 'Question' }).fill(FROZEN.question);
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect.poll(async () => (await seen()).query.ask?.question).toBe(FROZEN.question);
  expect((await seen()).query.queryType).toBe('ask');
  expect((await seen()).query.ask?.view).toBe('annotations');
  expect((await seen()).query.ask?.frozen?.query).toBe(FROZEN.query);
  expect(asked[0].ask.view).toBe('annotations');
  await expect(page.getByRole('radio', { name: 'Time series' })).toHaveCount(0);
  await expect(page.getByRole('spinbutton', { name: /^At most/ })).toHaveAttribute('max', '500');
});

test('each example of the help page is a query', async ({ page, open, seen }) => {
  await open({ kind: 'help' });
  const buttons = page.getByRole('button', { name: 'Use this query' });
  const count = await buttons.count();
  expect(count).toBeGreaterThanOrEqual(6);
  for (let i = 0; i < count; i++) {
    await buttons.nth(i).click();
  }
  const { examples } = await seen();
  expect(examples).toHaveLength(count);
  for (const example of examples) {
    expect(example.refId).toBe('A');
    expect(['ask', 'anomalies', 'patterns', 'forecast', 'incidents']).toContain(example.queryType);
  }
});

for (const theme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    test(`fits ${width} pixels, ${theme}`, async ({ page, open }) => {
      await page.setViewportSize({ width, height: 800 });
      await fakeSuggestions(page);
      for (const shown of [
        {
          kind: 'config' as const,
          options: {
            prometheusUrl: 'http://p',
            receiverUrl: 'http://r',
            connections: { prometheus: { auth: 'basic' as const, headers: ['X-Scope-OrgID'] } },
          },
        },
        {
          kind: 'query' as const,
          query: {
            refId: 'A',
            queryType: 'anomalies' as const,
            anomalies: {
              view: 'timeseries' as const,
              matchers: [{ label: 'instance', op: '=~' as const, value: 'web-.*' }],
            },
          },
        },
        { kind: 'query' as const, query: { refId: 'A', queryType: 'incidents' as const } },
        { kind: 'query' as const, query: { refId: 'A', queryType: 'ask' as const, ask: EVICTIONS } },
        {
          kind: 'query' as const,
          query: {
            refId: 'A',
            queryType: 'patterns' as const,
            patterns: { query: '{app="shop"} |= "error"', compare: 'previous' },
          },
        },
        {
          kind: 'query' as const,
          query: { refId: 'A', queryType: 'forecast' as const, forecast: { metric: 'node_filesystem_avail_bytes' } },
        },
        { kind: 'help' as const },
      ]) {
        await open({ ...shown, theme });
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth
        );
        expect(overflow, `${shown.kind} is wider than the window`).toBeLessThanOrEqual(0);
      }
    });
  }
}
