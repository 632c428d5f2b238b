import { readFile } from 'node:fs/promises';
import { createServer, Server } from 'node:http';
import { AddressInfo } from 'node:net';
import path from 'node:path';

const ROOT = path.join(__dirname, '..', '..');
const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** Where each address of the page comes from; the rest is 404. */
function fileOf(url: string): string | undefined {
  const places: Array<[string, string]> = [
    ['/public/plugins/portent-aiops-datasource/', path.join(ROOT, 'dist')],
    ['/public/build/img/', path.join(ROOT, 'node_modules/@grafana/ui/dist/public/img')],
  ];
  if (url === '/') {
    return path.join(__dirname, 'index.html');
  }
  if (url === '/host.js' || url === '/host.css') {
    return path.join(ROOT, 'tests/.build', url);
  }
  const font = /^\/public\/fonts\/(?:inter\/Inter-(Regular|Medium)|roboto\/\w+)\S*\.woff2$/.exec(url);
  if (font) {
    const name = { Regular: 'inter-latin-400', Medium: 'inter-latin-500' }[font[1]] ?? 'roboto-mono-latin-400';
    const family = font[1] ? 'inter' : 'roboto-mono';
    return path.join(ROOT, `node_modules/@fontsource/${family}/files/${name}-normal.woff2`);
  }
  for (const [prefix, folder] of places) {
    const file = path.join(folder, url.slice(prefix.length));
    if (url.startsWith(prefix) && file.startsWith(folder + path.sep)) {
      return file;
    }
  }
  return undefined;
}

/** Serves the harness on loopback. */
export async function serve(): Promise<{ url: string; close: () => void }> {
  const server: Server = createServer(async (request, response) => {
    const file = fileOf(new URL(request.url ?? '/', 'http://x').pathname);
    // The published package leaves out most icons; Grafana has them all.
    const icon = file?.endsWith('.svg') ? '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"/>' : undefined;
    const body = file && (await readFile(file).catch(() => icon));
    if (!file || !body) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}
