// The sample app's files as `portico demo` serves them, with settings of the test.
import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const FILES = resolve(dirname(fileURLToPath(import.meta.url)), "../../../src/cli/demo/app");

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

const headers = (authority) => ({
  "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    + `connect-src 'self' ${authority}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-store",
});

export async function startSampleApp(port, settings) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    try {
      const known = name === "settings.json" || /^[a-z-]+(\.min)?\.[a-z]+$/.test(name);
      if (!known) throw new Error("no such file");
      const body = name === "settings.json" ? JSON.stringify(settings) : await readFile(join(FILES, name));
      response.writeHead(200, { ...headers(settings.authority), "Content-Type": TYPES[extname(name)] ?? "application/json" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://localhost:${port}/`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
