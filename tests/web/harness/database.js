// A database of its own for each server: a file, or one of the cluster that TEST_DATABASE_URL names.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { run } from "./processes.js";

const KIND = process.env.PORTICO_TEST_DATABASE ?? "sqlite";

export async function createDatabase(folder) {
  switch (KIND) {
    case "sqlite":
      return { url: `sqlite:${join(folder, "portico.db")}`, drop: async () => {} };
    case "postgres":
      return createPostgresDatabase();
    default:
      throw new Error(`PORTICO_TEST_DATABASE is ${KIND}; it may be sqlite or postgres`);
  }
}

async function createPostgresDatabase() {
  const cluster = process.env.TEST_DATABASE_URL;
  if (!cluster) throw new Error("PORTICO_TEST_DATABASE is postgres, but TEST_DATABASE_URL is not set (scripts/with-postgres sets it)");
  const name = `portico_${randomBytes(6).toString("hex")}`;
  const psql = (statement) => run("psql", "psql", [cluster, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", statement]);
  await psql(`CREATE DATABASE ${name}`);
  const url = new URL(cluster);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => psql(`DROP DATABASE ${name} WITH (FORCE)`) };
}
