// A stand for tests in another language: prints one line of JSON that says where everything is, and runs until its input ends.
// With `methods` it has a client for each way to authenticate, with the keys of those that sign, and one for every response type.
import "./harness/platform.js";
import * as clients from "./harness/clients.js";
import { FRONT, NEXT_API, makeMethods } from "./harness/methods.js";
import { ANN, JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

const { PUBLIC, UNRESERVED, POST, SERVICE, API, CALLBACK } = clients;

async function few() {
  return {
    stand: await startStand({ clients: clients.ALL }),
    registrations: { public: PUBLIC, basic: UNRESERVED, post: POST, service: SERVICE },
  };
}

async function everyMethod() {
  const methods = await makeMethods();
  const registrations = {
    front: FRONT,
    old: {
      ...FRONT,
      client_id: "old-app",
      grant_types: ["authorization_code", "implicit"],
      response_types: ["code", "code id_token", "code token", "code id_token token", "id_token", "id_token token", "none"],
    },
  };
  for (const [name, { registration }] of Object.entries(methods)) registrations[name] = registration;
  const stand = await startStand({
    algorithms: ["RS256", "PS256", "ES256", "EdDSA"],
    clients: Object.values(registrations),
    sections: { registration: { mode: "open" } },
  });
  for (const [name, { registration, own }] of Object.entries(methods)) {
    if (!own) continue;
    // Without the algorithm, which has two names.
    const { alg, key_ops: operations, ext, ...key } = await crypto.subtle.exportKey("jwk", own.key);
    registrations[name] = { ...registration, key: { ...key, kid: own.kid } };
  }
  return { stand, registrations };
}

const { stand, registrations } = await (process.argv[2] === "methods" ? everyMethod() : few());
process.stdout.write(`${JSON.stringify({
  issuer: stand.issuer,
  callback: CALLBACK,
  api: API,
  next_api: NEXT_API,
  clients: registrations,
  people: { jo: JO, ann: ANN },
})}\n`);

async function stop() {
  await stand.stop();
  process.exit(0);
}
process.stdin.resume().on("end", stop);
process.on("SIGINT", stop).on("SIGTERM", stop);
