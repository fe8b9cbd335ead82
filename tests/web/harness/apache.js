// Debian's Apache with mod_auth_openidc, set up as docs/logout.md says, each site behind TLS on a port of its own. Its pages say who is signed in.
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { snippet } from "./guide.js";
import { start } from "./processes.js";

const MODULES = "/usr/lib/apache2/modules";
const LOADED = ["mpm_event", "authn_core", "authz_core", "authz_user", "dir", "mime", "env", "include", "ssl", "auth_openidc"];

const PAGE = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Intranet</title><link rel="icon" href="data:,"></head><body>'
  + '<h1>Signed in as <!--#echo var="OIDC_CLAIM_name" --></h1>'
  + '<p id="email"><!--#echo var="OIDC_CLAIM_email" --></p><p id="user"><!--#echo var="REMOTE_USER" --></p></body></html>';
const PUBLIC = '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Signed out</title><link rel="icon" href="data:,"></head><body><h1>Signed out</h1></body></html>';

// What the guide has, with what a site has `instead` of it.
async function virtualHost(folder, issuer, { registration, address, instead = {} }) {
  const settings = await snippet("apache", "OIDCProviderMetadataURL", {
    "https://login.example.org": issuer,
    "https://intranet.example.org": address,
    "OIDCClientID intranet": `OIDCClientID ${registration.client_id}`,
    "${INTRANET_CLIENT_SECRET}": registration.client_secret,
    ...instead,
  });
  const { port } = new URL(address);
  return `Listen 127.0.0.1:${port}
<VirtualHost 127.0.0.1:${port}>
ServerName ${address}
DocumentRoot ${join(folder, "site")}
SSLEngine on
SSLCertificateFile ${join(folder, "site.pem")}
SSLCertificateKeyFile ${join(folder, "site.key")}
${settings}
</VirtualHost>
`;
}

async function configuration(folder, issuer, sites) {
  const hosts = await Promise.all(sites.map((site) => virtualHost(folder, issuer, site)));
  return `ServerRoot ${folder}
ServerName localhost
DefaultRuntimeDir ${folder}
PidFile ${join(folder, "apache.pid")}
ErrorLog "|/bin/cat"
LogLevel warn
SSLSessionCache none
${LOADED.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join("\n")}
# Started by root, it works as Debian's does; started by anybody else, Apache takes no notice of these.
User www-data
Group www-data
TypesConfig /etc/mime.types
DirectoryIndex index.shtml
<Directory ${join(folder, "site")}>
  Options +Includes
  AddOutputFilter INCLUDES .shtml
</Directory>
${hosts.join("\n")}`;
}

const listens = (port) => new Promise((resolve) => {
  const socket = connect(port, "127.0.0.1");
  socket.on("connect", () => { socket.destroy(); resolve(true); }).on("error", () => resolve(false));
});

// `sites` are registrations and the addresses of the sites that log in by them; `certificate` is theirs, with its key.
export async function startApache({ issuer, sites, certificate }) {
  const folder = await mkdtemp(join(tmpdir(), "portico-apache-"));
  try {
    // Of root's folders the processes of www-data read what is for all.
    await chmod(folder, 0o755);
    await mkdir(join(folder, "site/protected"), { recursive: true });
    await writeFile(join(folder, "site/index.shtml"), PUBLIC);
    await writeFile(join(folder, "site/protected/index.shtml"), PAGE);
    await writeFile(join(folder, "site.pem"), certificate.pem);
    await writeFile(join(folder, "site.key"), certificate.key, { mode: 0o600 });
    const file = join(folder, "apache2.conf");
    await writeFile(file, await configuration(folder, issuer, sites), { mode: 0o600 });
    // In the foreground: it is no daemon, and ends when the test asks it to.
    const server = start("apache2", "/usr/sbin/apache2", ["-DFOREGROUND", "-d", folder, "-f", file], { INTRANET_PASSPHRASE: "a passphrase for the cookies of the test's site" });
    for (const { address } of sites) await server.ready(() => listens(Number(new URL(address).port)));
    return {
      said: () => server.output,
      stop: async () => {
        await server.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
