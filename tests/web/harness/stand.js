// A whole Portico as `portico serve` runs it, with the simulated iMIS and aiM18 behind it.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { clockBehind } from "./clock.js";
import { createDatabase } from "./database.js";
import { startLink } from "./link.js";
import { IMIS_SERVICE, ANN, JO } from "./people.js";
import { freePorts } from "./ports.js";
import { start } from "./processes.js";
import { toml } from "./toml.js";

const run = promisify(execFile);

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
export const PORTICO = process.env.PORTICO_BIN ?? join(ROOT, "target/debug/portico");

const SSO_SECRET = "sso-client-secret-of-the-tests";
const AIM18_CLIENT = { id: "C-cG9ydGljbyB0ZXN0", secret: "aim18-client-secret-of-the-tests" };

async function startSimulator(system, options = []) {
  const program = start(`portico simulate ${system}`, PORTICO, ["simulate", system, "--listen", "127.0.0.1:0", ...options]);
  const [, url] = await program.printed(/^listening on (http:\/\/\S+)$/m);
  return { url, stop: () => program.stop() };
}

// A client's secret goes the way that an administrator's would: through the environment.
function registration(client, index, environment) {
  const { client_secret: secret, ...rest } = client;
  if (secret === undefined) return rest;
  const variable = `TEST_CLIENT_SECRET_${index}`;
  environment[variable] = secret;
  return { ...rest, client_secret: { env: variable } };
}

function configuration({ issuer, listen, internalListen, imis, aim18, algorithms, resources, clients, pages, members, sections, environment }) {
  return {
    issuer,
    server: { listen, internal_listen: internalListen },
    database: { url: { env: "TEST_SERVER_DATABASE" } },
    keys: { master_key: { env: "TEST_MASTER_KEY" }, algorithms },
    resources,
    brand: { name: "Example Society" },
    upstreams: [
      {
        id: JO.upstream,
        kind: "imis",
        label: JO.label,
        login: ["password"],
        base_url: imis,
        sign_in_url: `${imis}/Sign-in.aspx?ReturnUrl={page_path}`,
        service_account: { username: IMIS_SERVICE.username, password: { env: "TEST_IMIS_PASSWORD" } },
        sso_pages: pages.map(({ id, client }) => ({
          client_id: id,
          client_secret: { env: "TEST_SSO_SECRET" },
          page_url: `${imis}/SSO/${id}.aspx`,
          ...(client && { client }),
        })),
        ...members(imis),
      },
      {
        id: ANN.upstream,
        kind: "aim18",
        label: ANN.label,
        login: ["redirect"],
        base_url: aim18,
        client_id: AIM18_CLIENT.id,
        client_secret: { env: "TEST_AIM18_SECRET" },
        profile: { module: "user", fields: { name: "desc", preferred_username: "code", email: "email" } },
      },
    ],
    clients: clients.map((client, index) => registration(client, index, environment)),
    ...sections,
  };
}

// `algorithms` and `resources` are the config's; `clients` are registrations with the secret in clear; `pages` are Single Sign On pages of iMIS and the clients that they lead to;
// `members` gives more keys of the upstream iMIS; `sections` are more sections, or others; `files` stand beside the config. `restart` ends the server and starts it anew on the same database, on time or with
// a clock that is behind. `command` is what a command of Portico's prints. With `linked` browsers and apps come by a `link` (link.js).
export async function startStand({ algorithms, resources, clients, pages = [{ id: "Portico" }], members = () => ({}), sections = {}, files = {}, linked = false }) {
  const undo = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const [port, internalPort, publicPort = port] = await freePorts(linked ? 3 : 2);
    const issuer = `http://localhost:${publicPort}`;
    const link = linked ? await startLink({ port: publicPort, to: port }) : undefined;
    undo.push(() => link?.stop());
    const folder = await mkdtemp(join(tmpdir(), "portico-web-"));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    const database = await createDatabase(folder);
    undo.push(() => database.drop());

    const application = ({ id }) => ["--application", `${id}=${SSO_SECRET}=${issuer}/upstream/${JO.upstream}/landing/${id}`];
    const imis = await startSimulator("imis", pages.flatMap(application));
    undo.push(() => imis.stop());
    const aim18 = await startSimulator("aim18", [
      "--client-id", AIM18_CLIENT.id,
      "--client-secret", AIM18_CLIENT.secret,
      "--callback", `${issuer}/upstream/${ANN.upstream}/callback`,
    ]);
    undo.push(() => aim18.stop());

    const environment = {
      TEST_SERVER_DATABASE: database.url,
      TEST_SSO_SECRET: SSO_SECRET,
      TEST_IMIS_PASSWORD: IMIS_SERVICE.password,
      TEST_AIM18_SECRET: AIM18_CLIENT.secret,
      TEST_MASTER_KEY: randomBytes(32).toString("base64"),
    };
    const file = join(folder, "portico.toml");
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    await writeFile(file, toml(configuration({
      issuer,
      listen: `127.0.0.1:${port}`,
      internalListen: `127.0.0.1:${internalPort}`,
      imis: imis.url,
      aim18: aim18.url,
      algorithms,
      resources,
      clients,
      pages,
      members,
      sections,
      environment,
    })));

    let server;
    const serve = async (clock = {}) => {
      server = start("portico serve", PORTICO, ["serve", "-c", file], { ...environment, ...clock });
      await server.ready(() => fetch(`http://127.0.0.1:${internalPort}/health/ready`).then((response) => response.ok, () => false));
    };
    undo.push(() => server.stop());
    await serve();
    const restart = async ({ secondsBehind } = {}) => {
      await server.stop();
      await serve(secondsBehind && await clockBehind(secondsBehind, folder));
    };

    const command = async (...words) => (await run(PORTICO, [...words, "-c", file], { env: { ...process.env, ...environment } })).stdout;

    const ssoPageOf = (id) => `${imis.url}/SSO/${id}.aspx`;
    return { issuer, imis: imis.url, aim18: aim18.url, ssoPage: ssoPageOf(pages[0].id), ssoPageOf, stop, restart, command, link, stopImis: () => imis.stop() };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}
