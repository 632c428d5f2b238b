import { expect, fakeSuggestions, test } from './harness/fixtures';
import { EVICTIONS, fakeExplain, FROZEN, SEVERAL } from './harness/questions';

test('asks a question and stores the query that answers it', async ({ page, open, seen }) => {
  const suggestions = await fakeSuggestions(page);
  const asked = await fakeExplain(page, () => ({
    alternatives: [{ query: 'sum by (namespace) (kube_pod_status_reason)', explanation: 'evicted pods now' }],
  }));
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask' } });

  const question = page.getByRole('combobox', { name: 'Question' });
  await question.fill('evicted');
  await expect(page.getByRole('option', { name: 'evicted pods' })).toBeVisible();
  expect(suggestions.pop()?.searchParams.get('q')).toBe('evicted');
  await question.fill(FROZEN.question);
  await question.press('Enter');

  await expect(page.getByRole('textbox', { name: 'PromQL' })).toHaveValue(FROZEN.query);
  await expect(page.getByText('Understood as evicted pods = kube_pod_status_reason')).toBeVisible();
  expect((await seen()).query).toEqual({
    refId: 'A',
    queryType: 'ask',
    anomalies: { view: 'table' },
    ask: { question: FROZEN.question, previous: '', frozen: FROZEN },
  });
  expect(asked).toHaveLength(1);
  expect(asked[0].ask.question).toBe(FROZEN.question);
  expect(asked[0].ask.frozen).toBeNull();
  expect(asked[0].to - asked[0].from).toBe(6 * 3600 * 1000);

  // Another reading is one click away.
  await page.getByRole('button', { name: 'evicted pods now' }).click();
  expect((await seen()).query.ask?.frozen?.query).toBe('sum by (namespace) (kube_pod_status_reason)');
  expect((await seen()).query.ask?.frozen?.question).toBe(FROZEN.question);
});

test('a suggestion is chosen by keyboard and by mouse', async ({ page, open, seen }) => {
  await fakeSuggestions(page);
  await fakeExplain(page, () => ({}));
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask' } });
  const question = page.getByRole('combobox', { name: 'Question' });
  await question.fill('memory');
  await expect(page.getByRole('option')).toHaveCount(3);
  await question.press('ArrowDown');
  await question.press('ArrowDown');
  await expect(page.getByRole('option', { selected: true })).toHaveText('memory by pod');
  await question.press('Escape');
  await expect(page.getByRole('option')).toHaveCount(0);
  await expect(question).toHaveValue('memory');
  await question.fill('memory ');
  await page.getByRole('option', { name: 'memory of cart' }).click();
  await expect(question).toHaveValue('memory of cart');
  expect((await seen()).query.ask).toBeUndefined();
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect.poll(async () => (await seen()).query.ask?.question).toBe('memory of cart');
});

test('what is stored stays until somebody asks again', async ({ page, open, seen }) => {
  await fakeSuggestions(page);
  const asked = await fakeExplain(page, () => ({ query: 'count(up)' }));
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask', ask: EVICTIONS } });
  const question = page.getByRole('combobox', { name: 'Question' });
  await question.fill('how many targets');
  await expect(page.getByText('The question has changed.')).toBeVisible();
  await page.getByRole('radio', { name: 'Numbers' }).check();
  const before = (await seen()).query.ask;
  expect(before?.frozen).toEqual(FROZEN);
  expect(before?.question).toBe(FROZEN.question);
  expect(asked).toHaveLength(0);

  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect(page.getByRole('textbox', { name: 'PromQL' })).toHaveValue('count(up)');
  expect((await seen()).query.ask?.question).toBe('how many targets');
  await page.getByRole('button', { name: 'Ask again' }).click();
  await expect.poll(() => asked.length).toBe(2);
});

test('a query written by hand is checked before it is stored', async ({ page, open, seen }) => {
  const asked = await fakeExplain(page, ({ frozen }) =>
    frozen?.query.includes('no_such')
      ? { refused: true, reason: 'the query may not run: there is no metric "no_such"', suggestions: [] }
      : {}
  );
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask', ask: EVICTIONS } });
  const code = page.getByRole('textbox', { name: 'PromQL' });
  await code.fill('sum(no_such)');
  await code.press('Shift+Enter');
  await expect(page.getByText('there is no metric "no_such"')).toBeVisible();
  expect((await seen()).query.ask?.frozen).toEqual(FROZEN);

  await code.fill('sum(kube_pod_info)');
  await code.blur();
  await expect.poll(async () => (await seen()).query.ask?.frozen?.query).toBe('sum(kube_pod_info)');
  expect((await seen()).query.ask?.frozen?.translator).toBe('person');
  expect(asked).toHaveLength(2);
  expect(asked[1].ask.frozen?.query).toBe('sum(kube_pod_info)');
});

test('a question that takes several queries shows and stores each', async ({ page, open, seen }) => {
  await fakeSuggestions(page);
  const asked = await fakeExplain(page, ({ frozen }) =>
    frozen
      ? frozen.query.includes('no_such')
        ? { refused: true, reason: 'there is no metric "no_such"' }
        : {}
      : SEVERAL
  );
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask' } });
  const question = page.getByRole('combobox', { name: 'Question' });
  await question.fill(SEVERAL.question);
  await question.press('Enter');
  await expect(page.getByRole('group', { name: 'Queries' }).getByRole('listitem')).toHaveCount(3);
  expect((await seen()).query.ask?.frozen).toEqual(SEVERAL);
  await expect(
    page.getByText('“since midnight” is worked out anew each time this runs, in the time zone')
  ).toBeVisible();
  await expect(page.getByRole('link', { name: /Open in Explore on Prometheus/ })).toHaveCount(2);

  // Each is edited, checked and left out by itself.
  const errors = page.getByRole('textbox', { name: 'errors (PromQL)' });
  await errors.fill('sum(no_such)');
  await errors.press('Shift+Enter');
  await expect(page.getByText('there is no metric "no_such"')).toBeVisible();
  expect((await seen()).query.ask?.frozen).toEqual(SEVERAL);
  await errors.fill('sum(kube_pod_info)');
  await errors.blur();
  await expect.poll(async () => (await seen()).query.ask?.frozen?.parts?.[1].query).toBe('sum(kube_pod_info)');
  expect((await seen()).query.ask?.frozen?.parts?.[1]).toMatchObject({
    title: 'errors',
    above: 0.01,
    translator: 'person',
  });
  const checked = asked[2].ask.frozen;
  expect(checked && 'title' in checked).toBe(false);
  await page.getByRole('button', { name: 'Leave out: alerts' }).click();
  const left = (await seen()).query.ask?.frozen;
  expect(left?.parts?.map(({ title }) => title)).toEqual(['errors', 'error logs']);
  expect(left?.query).toBe('sum(kube_pod_info)');
});

test('the query has syntax colours and opens in Explore', async ({ page, open }) => {
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask', ask: EVICTIONS } });
  const colours = await page
    .locator('pre[aria-hidden] span')
    .evaluateAll((spans) => [...new Set(spans.map((span) => getComputedStyle(span).color))]);
  expect(colours.length).toBeGreaterThanOrEqual(4);
  const href = await page.getByRole('link', { name: 'Open in Explore on Prometheus' }).getAttribute('href');
  const { portent } = JSON.parse(new URL(href ?? '', 'http://x').searchParams.get('panes') ?? '');
  expect(portent.datasource).toBe('prometheus');
  expect(portent.queries[0].expr).toBe(FROZEN.query);
});

test('a question that cannot be answered says what can', async ({ page, open, seen }) => {
  await fakeExplain(page, ({ question }) =>
    question === 'gpu temperature'
      ? { refused: true, reason: 'nothing here is known about "gpu"', suggestions: ['temperature of nodes'], query: '' }
      : {}
  );
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask', ask: EVICTIONS } });
  const question = page.getByRole('combobox', { name: 'Question' });
  await question.fill('gpu temperature');
  await question.press('Enter');
  await expect(page.getByText('Not answered: nothing here is known about "gpu"')).toBeVisible();
  expect((await seen()).query.ask?.frozen).toEqual(FROZEN);
  await page.getByRole('button', { name: 'temperature of nodes' }).click();
  await expect.poll(async () => (await seen()).query.ask?.question).toBe('temperature of nodes');
});

test('follows up a question, and asks it by itself again', async ({ page, open, seen }) => {
  const asked = await fakeExplain(page, () => ({ text: 'pod evictions by pod', query: 'count by (pod) (x)' }));
  await open({ kind: 'query', query: { refId: 'A', queryType: 'ask', ask: EVICTIONS } });
  const more = page.getByRole('textbox', { name: 'Follow up' });
  await more.fill('and by pod?');
  await more.press('Enter');
  await expect.poll(async () => (await seen()).query.ask?.previous).toBe(FROZEN.text);
  expect(asked[0].ask).toMatchObject({ question: 'and by pod?', previous: FROZEN.text });
  await expect(page.getByText(`Follows up: ${FROZEN.text}`)).toBeVisible();
  await page.getByRole('button', { name: 'Ask it by itself' }).click();
  expect((await seen()).query.ask?.previous).toBe('');
});

test('a data source that fails is said and leaves what is stored', async ({ page, open, seen }) => {
  await page.route('**/resources/explain', (route) =>
    route.fulfill({ status: 502, json: { error: 'no connection to Prometheus', hint: 'is it running?' } })
  );
  await open({
    kind: 'query',
    query: { refId: 'A', queryType: 'ask', ask: EVICTIONS },
    allowed: /502 \(Bad Gateway\)/,
  });
  await page.getByRole('button', { name: 'Ask again' }).click();
  await expect(page.getByText('no connection to Prometheus (is it running?)')).toBeVisible();
  expect((await seen()).query.ask?.frozen).toEqual(FROZEN);
});

test('text of a question is text', async ({ page, open }) => {
  const hostile = '<img src=x onerror="window.hacked=1">';
  await open({
    kind: 'query',
    query: {
      refId: 'A',
      queryType: 'ask',
      ask: {
        question: 'q',
        previous: hostile,
        frozen: { ...FROZEN, question: hostile, query: hostile, explanation: hostile },
      },
    },
  });
  await expect(page.getByText(`Follows up: ${hostile}`)).toBeVisible();
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false);
  expect(await page.locator('main img').count()).toBe(0);
});

test('fills in a patterns query', async ({ page, open, seen }) => {
  await open({ kind: 'query', query: { refId: 'A', queryType: 'patterns' } });
  const code = page.getByRole('textbox', { name: 'Log query' });
  await code.fill('{app="shop"} |= "error"');
  await code.press('Shift+Enter');
  await page.getByRole('combobox', { name: 'Severity' }).click();
  await page.getByRole('option', { name: 'Error' }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('combobox', { name: 'Compare with' }).click();
  await page.getByRole('option', { name: 'a day earlier' }).click();
  await page.getByRole('combobox', { name: 'Only those that are' }).click();
  await page.getByRole('option', { name: 'New' }).click();
  await page.keyboard.press('Escape');
  expect((await seen()).query.patterns).toEqual({
    query: '{app="shop"} |= "error"',
    severity: ['error'],
    compare: '1d',
    change: ['new'],
  });
  // Lines have no comparison: what the backend would refuse is taken away.
  await page.getByRole('radio', { name: 'Logs' }).check();
  expect((await seen()).query.patterns).toMatchObject({ view: 'logs', compare: '', change: [], pattern: '' });
  await expect(page.getByRole('combobox', { name: 'Compare with' })).toHaveCount(0);
  await page.getByRole('button', { name: 'What a log query is made of' }).click();
  await expect(page.getByText('The stream selector determines which log streams are included')).toBeVisible();
});

test('fills in a forecast query', async ({ page, open, seen }) => {
  await fakeSuggestions(page);
  await open({ kind: 'query', query: { refId: 'A', queryType: 'forecast' } });
  await page.getByRole('combobox', { name: 'Metric' }).click();
  await page.getByRole('option', { name: 'node_memory_MemAvailable_bytes' }).click();
  await page.getByRole('combobox', { name: 'How far ahead' }).click();
  await page.getByRole('option', { name: /four days/ }).click();
  const limit = page.getByRole('textbox', { name: 'Limit' });
  await limit.fill('much');
  await limit.blur();
  await expect(page.getByText('Want a number, or nothing')).toBeVisible();
  await limit.fill('0');
  await limit.press('Enter');
  expect((await seen()).query.forecast).toEqual({
    metric: 'node_memory_MemAvailable_bytes',
    expr: '',
    horizon: '4d',
    until: 0,
  });
  await page.getByRole('radio', { name: 'PromQL' }).check();
  const code = page.getByRole('textbox', { name: 'PromQL' });
  await code.fill('sum(node_memory_MemAvailable_bytes)');
  await code.blur();
  expect((await seen()).query.forecast).toMatchObject({ expr: 'sum(node_memory_MemAvailable_bytes)', metric: '' });
});

test('limits of the data source are settings', async ({ page, open, seen }) => {
  await open({ kind: 'config', options: { prometheusUrl: 'http://p' } });
  await page.getByRole('button', { name: 'Limits' }).click();
  const limits = page.getByRole('region', { name: 'Limits' });
  await limits.getByRole('button', { name: 'Add label' }).click();
  await limits.getByLabel('Label', { exact: true }).fill('namespace');
  await limits.getByLabel('Value', { exact: true }).fill('shop');
  await limits.getByRole('combobox', { name: 'Queries that cost too much' }).click();
  await page.getByRole('option', { name: /with a warning/ }).click();
  expect((await seen()).options.jsonData).toMatchObject({
    scope: [{ label: 'namespace', op: '=', value: 'shop' }],
    cost: 'warn',
  });
});
