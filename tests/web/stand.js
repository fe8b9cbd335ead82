// A stand for tests in another language: prints one line of JSON that says where everything is, and runs until its input ends.
import "./harness/platform.js";
import * as clients from "./harness/clients.js";
import { ANN, JO } from "./harness/people.js";
import { startStand } from "./harness/stand.js";

const stand = await startStand({ clients: clients.ALL });
const { PUBLIC, UNRESERVED, POST, SERVICE, API, CALLBACK } = clients;
process.stdout.write(`${JSON.stringify({
  issuer: stand.issuer,
  callback: CALLBACK,
  api: API,
  clients: { public: PUBLIC, basic: UNRESERVED, post: POST, service: SERVICE },
  people: { jo: JO, ann: ANN },
})}\n`);

async function stop() {
  await stand.stop();
  process.exit(0);
}
process.stdin.resume().on("end", stop);
process.on("SIGINT", stop).on("SIGTERM", stop);
