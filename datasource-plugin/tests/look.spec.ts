import { fakeSuggestions, test } from './harness/fixtures';

for (const theme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    test(`look ${theme} ${width}`, async ({ page, open }) => {
      await page.setViewportSize({ width, height: 700 });
      await fakeSuggestions(page);
      await open({ kind: 'config', theme, secureJsonFields: {prometheusPassword: true}, options: { prometheusUrl: 'http://localhost:9090', receiverUrl: 'http://localhost:9751', connections: {prometheus: {auth: 'basic', user: 'grafana', headers: ['X-Scope-OrgID'], tlsWithCaCert: true}, receiver: {auth: 'bearer'}} } });
      await page.screenshot({ path: `/tmp/plg/config-${theme}-${width}.png`, fullPage: true });
      await open({ kind: 'query', theme, query: { refId: 'A', queryType: 'anomalies', anomalies: { view: 'timeseries', metric: 'node_load1', matchers: [{ label: 'instance', op: '=~', value: 'web.*' }, {label: 'job', op: '=', value: 'node'}] } } });
      await page.screenshot({ path: `/tmp/plg/query-${theme}-${width}.png`, fullPage: true });
      await open({ kind: 'query', theme, query: { refId: 'A', queryType: 'incidents', incidents: {severity: ['critical', 'warning']} } });
      await page.screenshot({ path: `/tmp/plg/incidents-${theme}-${width}.png`, fullPage: true });
      await open({ kind: 'help', theme });
      await page.screenshot({ path: `/tmp/plg/help-${theme}-${width}.png`, fullPage: true });
    });
  }
}
