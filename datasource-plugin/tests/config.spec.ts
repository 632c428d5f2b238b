import { expect, test } from './harness/fixtures';

test('a new data source: the address is all that is needed', async ({ page, open, seen }) => {
  await open({ kind: 'config' });
  const prometheus = page.getByRole('region', { name: 'Prometheus' });
  await expect(prometheus.getByLabel('Authentication')).toHaveCount(0);
  await prometheus.getByPlaceholder('http://localhost:9090').fill('http://prometheus:9090');
  await expect(prometheus.getByLabel('Authentication')).toBeVisible();
  const { options } = await seen();
  expect(options.jsonData).toEqual({ prometheusUrl: 'http://prometheus:9090' });
  expect(options.secureJsonData).toBeUndefined();
});

test('every setting of one address', async ({ page, open, seen }) => {
  await open({ kind: 'config' });
  const section = page.getByRole('region', { name: 'Prometheus' });
  await section.getByPlaceholder('http://localhost:9090').fill('https://prometheus:9090');
  await section.getByRole('textbox', { name: /^Scrape interval/ }).fill('30s');

  await section.getByLabel('Authentication').click();
  await page.getByRole('option', { name: /User and password/ }).click();
  await section.getByLabel('User', { exact: true }).fill('grafana');
  await section.getByLabel('Password', { exact: true }).fill('s3cret');

  await section.getByRole('button', { name: 'TLS, headers, timeout' }).click();
  await section.getByLabel('Verify with a CA certificate of your own').check({ force: true });
  await section.getByLabel('CA certificate', { exact: true }).fill('-----BEGIN CERTIFICATE-----\nca');
  await section.getByLabel('Authenticate with a client certificate').check({ force: true });
  await section.getByLabel('Client certificate', { exact: true }).fill('-----BEGIN CERTIFICATE-----\nclient');
  await section.getByLabel('Client key', { exact: true }).fill('-----BEGIN PRIVATE KEY-----\nkey');
  await section.getByRole('textbox', { name: /^Server name/ }).fill('prom.example.org');
  await section.getByLabel('Do not verify the certificate').check({ force: true });
  await section.getByRole('button', { name: 'Add header' }).click();
  await section.getByLabel('Header name').fill('X-Scope-OrgID');
  await section.getByLabel('Header value').fill('tenant-1');
  await section.getByRole('spinbutton', { name: /^Timeout/ }).fill('12');
  await section.getByLabel('Name the Grafana user and organisation').check({ force: true });

  const { options } = await seen();
  expect(options.jsonData).toEqual({
    prometheusUrl: 'https://prometheus:9090',
    scrapeInterval: '30s',
    oauthPassThru: false,
    connections: {
      prometheus: {
        auth: 'basic',
        user: 'grafana',
        tlsWithCaCert: true,
        tlsClientAuth: true,
        tlsServerName: 'prom.example.org',
        tlsSkipVerify: true,
        headers: ['X-Scope-OrgID'],
        timeoutSeconds: 12,
        forwardUserAndOrg: true,
      },
    },
  });
  expect(options.secureJsonData).toEqual({
    prometheusPassword: 's3cret',
    prometheusTlsCaCert: '-----BEGIN CERTIFICATE-----\nca',
    prometheusTlsClientCert: '-----BEGIN CERTIFICATE-----\nclient',
    prometheusTlsClientKey: '-----BEGIN PRIVATE KEY-----\nkey',
    prometheusHeader1: 'tenant-1',
  });
  // Nothing that is secret is among the settings that anybody who edits a dashboard can read.
  for (const secret of Object.values(options.secureJsonData ?? {})) {
    expect(JSON.stringify(options.jsonData)).not.toContain(secret);
  }
});

test('each address keeps its own credentials', async ({ page, open, seen }) => {
  await open({
    kind: 'config',
    options: {
      receiverUrl: 'http://r:9751',
      modelUrl: 'http://m/v1',
      connections: { receiver: { auth: 'bearer' }, model: { auth: 'bearer' } },
    },
  });
  await page.getByRole('region', { name: 'Portent receiver' }).getByLabel('Token').fill('for the receiver');
  await page
    .getByRole('region', { name: 'Language model' })
    .getByRole('textbox', { name: 'Token' })
    .fill('for the model');
  await page
    .getByRole('region', { name: 'Language model' })
    .getByRole('textbox', { name: /^Model/ })
    .fill('small');
  const { options } = await seen();
  expect(options.secureJsonData).toEqual({ receiverToken: 'for the receiver', modelToken: 'for the model' });
  expect(options.jsonData.modelName).toBe('small');
});

test('forwarding the OAuth identity tells Grafana to pass it on, and stops doing so', async ({ page, open, seen }) => {
  await open({ kind: 'config', options: { prometheusUrl: 'http://p' } });
  const auth = page.getByRole('region', { name: 'Prometheus' }).getByLabel('Authentication');
  await auth.click();
  await page.getByRole('option', { name: /Forward the OAuth identity/ }).click();
  expect((await seen()).options.jsonData.oauthPassThru).toBe(true);
  await auth.click();
  await page.getByRole('option', { name: /None/ }).click();
  expect((await seen()).options.jsonData.oauthPassThru).toBe(false);
});

test('a stored secret is never shown and can be reset', async ({ page, open, seen }) => {
  await open({
    kind: 'config',
    options: { prometheusUrl: 'http://p', connections: { prometheus: { auth: 'basic', user: 'ann' } } },
    secureJsonFields: { prometheusPassword: true },
  });
  const password = page.getByLabel('Password', { exact: true });
  await expect(password).toBeDisabled();
  await expect(password).toHaveValue('configured');
  await page.getByRole('button', { name: 'Reset' }).click();
  await expect(password).toHaveValue('');
  let { options } = await seen();
  expect(options.secureJsonFields).toEqual({ prometheusPassword: false });
  expect(options.secureJsonData).toEqual({ prometheusPassword: '' });
  await password.fill('new');
  ({ options } = await seen());
  expect(options.secureJsonData).toEqual({ prometheusPassword: 'new' });
});

test('a removed header leaves the others with their values', async ({ page, open, seen }) => {
  await open({
    kind: 'config',
    options: { prometheusUrl: 'http://p', connections: { prometheus: { headers: ['X-A', 'X-B', 'X-C'] } } },
    secureJsonFields: { prometheusHeader1: true, prometheusHeader2: true, prometheusHeader3: true },
  });
  await page.getByRole('button', { name: 'Remove header 2' }).click();
  let { options } = await seen();
  expect(options.jsonData.connections?.prometheus?.headers).toEqual(['X-A', '', 'X-C']);
  expect(options.secureJsonFields).toEqual({
    prometheusHeader1: true,
    prometheusHeader2: false,
    prometheusHeader3: true,
  });
  await expect(page.getByRole('group', { name: /^Header \d$/ })).toHaveCount(2);

  await page.getByRole('button', { name: 'Add header' }).click();
  await page.getByRole('group', { name: 'Header 2' }).getByLabel('Header name').fill('X-D');
  ({ options } = await seen());
  expect(options.jsonData.connections?.prometheus?.headers).toEqual(['X-A', 'X-D', 'X-C']);

  await page.getByRole('button', { name: 'Remove header 3' }).click();
  await page.getByRole('button', { name: 'Remove header 2' }).click();
  ({ options } = await seen());
  expect(options.jsonData.connections?.prometheus?.headers).toEqual(['X-A']);
});

test('what cannot be an address is said beside it', async ({ page, open }) => {
  await open({ kind: 'config' });
  const section = page.getByRole('region', { name: 'Prometheus' });
  const address = section.getByPlaceholder('http://localhost:9090');
  for (const [text, message] of [
    ['prometheus:9090', 'Want http://host:port'],
    ['http://ann:s3cret@host', 'where they are kept secret'],
    ['http://host/?a=1', 'without a part after'],
  ]) {
    await address.fill(text);
    await expect(section.getByRole('alert')).toContainText(message);
  }
  await address.fill('http://host:9090/prometheus');
  await expect(section.getByRole('alert')).toHaveCount(0);
  await section.getByRole('textbox', { name: /^Scrape interval/ }).fill('often');
  await expect(section.getByRole('alert')).toContainText('Want a duration');
});

test('a provisioned data source cannot be changed', async ({ page, open }) => {
  await open({ kind: 'config', readOnly: true, options: { prometheusUrl: 'http://p', receiverUrl: 'http://r' } });
  for (const field of await page.getByRole('textbox').all()) {
    await expect(field).toBeDisabled();
  }
});

test('the test tells of each address', async ({ page, open }) => {
  await page.route('**/api/datasources/uid/P1/health', (route) =>
    route.fulfill({
      status: 400,
      json: {
        status: 'ERROR',
        message: '1 of 2 addresses failed. Portent receiver: no connection',
        details: {
          verboseMessage: '',
          addresses: [
            {
              name: 'prometheus',
              url: 'http://p',
              ok: true,
              message: 'Prometheus 3.15.0, 412 anomaly scores',
              latencyMs: 7,
            },
            {
              name: 'receiver',
              url: 'http://r',
              ok: false,
              message: 'no connection: is the receiver running?',
              latencyMs: 1,
            },
          ],
        },
      },
    })
  );
  await open({
    kind: 'config',
    options: { prometheusUrl: 'http://p', receiverUrl: 'http://r' },
    allowed: /400 \(Bad Request\)/,
  });
  await page.getByRole('button', { name: 'Test the saved addresses' }).click();
  const prometheus = page.getByRole('region', { name: 'Prometheus' });
  await expect(prometheus.getByRole('status')).toContainText('Prometheus 3.15.0, 412 anomaly scores (7 ms)');
  await expect(prometheus.getByText('answers', { exact: true })).toBeVisible();
  const receiver = page.getByRole('region', { name: 'Portent receiver' });
  await expect(receiver.getByRole('status')).toContainText('no connection: is the receiver running?');
  await expect(receiver.getByText('failed', { exact: true })).toBeVisible();
});

test('a test that cannot be run says so', async ({ page, open }) => {
  await page.route('**/api/datasources/uid/P1/health', (route) =>
    route.fulfill({ status: 500, json: { status: 'ERROR', message: 'plugin unavailable', details: {} } })
  );
  await open({ kind: 'config', allowed: /500 \(Internal Server Error\)/ });
  await page.getByRole('button', { name: 'Test the saved addresses' }).click();
  await expect(page.getByRole('alert')).toContainText('plugin unavailable');
});
