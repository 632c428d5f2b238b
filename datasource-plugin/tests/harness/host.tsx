/**
 * What Grafana is to a plugin, as far as this plugin needs it: the shared packages, the services behind
 * @grafana/runtime, and a page around one of the plugin's components. Bundled by build.mjs from the published
 * packages; the plugin itself is the built module.js, loaded through SystemJS as Grafana does.
 */
import * as emotionCss from '@emotion/css';
import * as grafanaData from '@grafana/data';
import * as grafanaRuntime from '@grafana/runtime';
import * as grafanaUi from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import * as React from 'react';
import { createRoot } from 'react-dom/client';
import * as rxjs from 'rxjs';
import { lastValueFrom, Observable } from 'rxjs';

// After all others: it defines `define`, which lodash would take for its loader.
import 'systemjs/dist/system.js';
import 'systemjs/dist/extras/amd.js';

import type { PortentOptions, PortentQuery } from '../../src/types';

const PLUGIN_URL = '/public/plugins/portent-aiops-datasource/module.js';
const SHARED: Record<string, object> = {
  react: React,
  '@emotion/css': emotionCss,
  '@grafana/data': grafanaData,
  '@grafana/runtime': grafanaRuntime,
  '@grafana/ui': grafanaUi,
  rxjs,
};

/** The page: which component, with which state, in which theme. */
interface Page {
  kind: 'config' | 'query' | 'annotation' | 'help';
  theme: 'light' | 'dark';
  options?: PortentOptions;
  secureJsonFields?: Record<string, boolean>;
  query?: PortentQuery;
  app?: grafanaData.CoreApp;
  readOnly?: boolean;
  result?: boolean;
}

/** What a test reads back. */
interface Seen {
  options?: unknown;
  query?: PortentQuery;
  runs: number;
  examples: unknown[];
  defaults: Record<string, unknown>;
  errors: string[];
}

const seen: Seen = { runs: 0, examples: [], defaults: {}, errors: [] };
Object.assign(window, { seen });

// What a plugin writes to the console or throws is an error of the plugin.
window.addEventListener('error', (event) => {
  // Not an error: the browser says that it will go on observing in the next frame.
  if (!event.message.startsWith('ResizeObserver loop')) {
    seen.errors.push(String(event.error ?? event.message));
  }
});
window.addEventListener('unhandledrejection', (event) => seen.errors.push(String(event.reason)));

interface Request {
  url: string;
  method?: string;
  params?: Record<string, string | number>;
  data?: unknown;
}

/** A failed call, as Grafana's own service throws it. */
async function call(request: Request) {
  const url = new URL(request.url, location.href);
  for (const [name, value] of Object.entries(request.params ?? {})) {
    url.searchParams.set(name, String(value));
  }
  const response = await fetch(url, {
    method: request.method ?? 'GET',
    body: request.data === undefined ? undefined : JSON.stringify(request.data),
    headers: { 'Content-Type': 'application/json' },
  });
  const data = await response.json();
  const answer = { data, status: response.status, ok: response.ok, statusText: response.statusText, config: request };
  if (!response.ok) {
    throw answer;
  }
  return answer;
}

const backendSrv = {
  fetch: (request: Request) =>
    new Observable((subscriber) => {
      call(request).then(
        (answer) => {
          subscriber.next(answer);
          subscriber.complete();
        },
        (error) => subscriber.error(error)
      );
    }),
  get: async (url: string, params?: Request['params']) => (await call({ url, params })).data,
};

async function load(): Promise<grafanaData.DataSourcePlugin<any, any, any>> {
  for (const [name, module] of Object.entries(SHARED)) {
    System.set(`app:${name}`, { default: module, __useDefault: true });
  }
  System.addImportMap({ imports: Object.fromEntries(Object.keys(SHARED).map((name) => [name, `app:${name}`])) });
  const { plugin } = await System.import(PLUGIN_URL);
  return plugin;
}

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);

function settings(page: Page): any {
  return {
    id: 1,
    uid: 'P1',
    type: 'portent-aiops-datasource',
    name: 'Portent AIOps',
    access: 'proxy',
    readOnly: false,
    url: '',
    meta: { id: 'portent-aiops-datasource', info: {}, jsonData: {} },
    jsonData: page.options ?? {},
  };
}

function range(): grafanaData.TimeRange {
  const to = grafanaData.dateTime(NOW);
  const from = grafanaData.dateTime(NOW - 6 * 3600 * 1000);
  return { from, to, raw: { from, to } };
}

function ConfigPage({ plugin, page }: { plugin: any; page: Page }) {
  const [options, setOptions] = React.useState<any>({
    ...settings(page),
    orgId: 1,
    isDefault: false,
    readOnly: page.readOnly ?? false,
    basicAuth: false,
    secureJsonFields: page.secureJsonFields ?? {},
    jsonData: page.options ?? {},
  });
  seen.options = options;
  const Editor = plugin.components.ConfigEditor;
  return <Editor options={options} onOptionsChange={setOptions} />;
}

function QueryPage({ plugin, page, datasource }: { plugin: any; page: Page; datasource: any }) {
  const app = page.app ?? grafanaData.CoreApp.Explore;
  const [query, setQuery] = React.useState<PortentQuery>({
    refId: 'A',
    ...datasource.getDefaultQuery(app),
    ...page.query,
  });
  const [frames, setFrames] = React.useState<grafanaData.DataFrame[]>([]);
  seen.query = query;
  const run = React.useCallback(() => {
    seen.runs++;
  }, []);
  React.useEffect(() => {
    if (page.result) {
      const request: any = {
        app,
        requestId: '1',
        targets: [query],
        range: range(),
        scopedVars: {},
        interval: '15s',
        intervalMs: 15000,
      };
      lastValueFrom(datasource.query(request)).then((answer: any) => setFrames(answer.data));
    }
  }, [query, app, datasource, page.result]);
  const Editor = (page.kind === 'annotation' && datasource.annotations?.QueryEditor) || plugin.components.QueryEditor;
  return (
    <>
      <Editor
        datasource={datasource}
        query={query}
        onChange={setQuery}
        onRunQuery={run}
        range={range()}
        app={app}
        data={page.result ? { series: frames, state: 'Done', timeRange: range() } : undefined}
      />
      {page.result && frames.length > 0 && <Result frame={frames[0]} />}
    </>
  );
}

/** The answer of a table query as Grafana's own table shows it. */
function Result({ frame }: { frame: grafanaData.DataFrame }) {
  const theme = grafanaUi.useTheme2();
  const [width, setWidth] = React.useState(0);
  const measure = React.useCallback((node: HTMLDivElement | null) => setWidth(node?.clientWidth ?? 0), []);
  const shown = React.useMemo(() => {
    const visible = { ...frame, fields: frame.fields.filter((field) => !field.config.custom?.hidden) };
    return grafanaData.applyFieldOverrides({
      data: [visible],
      fieldConfig: { defaults: {}, overrides: [] },
      replaceVariables: (text) => text,
      theme,
      timeZone: 'utc',
    })[0];
  }, [frame, theme]);
  return (
    <div ref={measure} style={{ marginTop: 24 }} data-testid="result">
      {width > 0 && <TableNG data={shown} width={width} height={48 + 36 * shown.length} structureRev={1} transparent />}
    </div>
  );
}

function HelpPage({ plugin, datasource }: { plugin: any; datasource: any }) {
  const Help = plugin.components.QueryEditorHelp;
  return (
    <Help
      datasource={datasource}
      query={{ refId: 'A' }}
      onClickExample={(query: unknown) => seen.examples.push(query)}
    />
  );
}

async function main() {
  const page: Page = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const theme = grafanaData.createTheme({ colors: { mode: page.theme } });
  document.body.style.background = theme.colors.background.primary;
  document.body.style.margin = '0';

  const runtime = grafanaRuntime as any;
  runtime.setBackendSrv(backendSrv);
  runtime.setTemplateSrv({
    getVariables: () => [],
    replace: (text = '') => text,
    containsTemplate: () => false,
    updateTimeRange: () => undefined,
  });
  const plugin = await load();
  const datasource = new plugin.DataSourceClass(settings(page));
  runtime.setDataSourceSrv({
    get: async () => datasource,
    getInstanceSettings: () => settings(page),
    getList: (filters?: { type?: string }) =>
      filters?.type === 'prometheus'
        ? [{ ...settings(page), uid: 'prometheus', type: 'prometheus', isDefault: true }]
        : [settings(page)],
  });
  for (const app of Object.values(grafanaData.CoreApp)) {
    seen.defaults[app] = datasource.getDefaultQuery(app);
  }

  const body = {
    config: () => <ConfigPage plugin={plugin} page={page} />,
    query: () => <QueryPage plugin={plugin} page={page} datasource={datasource} />,
    annotation: () => <QueryPage plugin={plugin} page={page} datasource={datasource} />,
    help: () => <HelpPage plugin={plugin} datasource={datasource} />,
  }[page.kind]();

  createRoot(document.getElementById('root')!, {
    onUncaughtError: (error) => seen.errors.push(String(error)),
    onCaughtError: (error) => seen.errors.push(String(error)),
  }).render(
    <grafanaData.ThemeContext.Provider value={theme}>
      <grafanaUi.GlobalStyles />
      <main style={{ padding: 16, boxSizing: 'border-box', maxWidth: 1280, margin: '0 auto' }}>{body}</main>
      <grafanaUi.PortalContainer />
    </grafanaData.ThemeContext.Provider>
  );
}

main().catch((error) => {
  seen.errors.push(String(error?.stack ?? error));
  document.getElementById('root')!.textContent = String(error);
});
