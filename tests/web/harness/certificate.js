// An authority of the organization's own, and a certificate of it for 127.0.0.1, as an intranet has them.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./processes.js";

const NEW = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"];

// `authority` is what one has to trust; `pem` and `key` are the site's.
export async function certify() {
  const folder = await mkdtemp(join(tmpdir(), "portico-certificate-"));
  const at = (name) => join(folder, name);
  try {
    await run("openssl", "openssl", [...NEW, "-subj", "/CN=Intranet authority", "-keyout", at("ca.key"), "-out", at("ca.pem")]);
    await run("openssl", "openssl", [
      ...NEW, "-subj", "/CN=intranet", "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-keyout", at("site.key"), "-out", at("site.pem"),
      "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "extendedKeyUsage=serverAuth",
    ]);
    const [authority, pem, key] = await Promise.all(["ca.pem", "site.pem", "site.key"].map((name) => readFile(at(name), "utf8")));
    return { authority, pem, key };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
