// A web app with Express and express-openid-connect, set up as docs/logout.md says: / says who is signed in, /name what
// they are called.
import express from "express";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { snippet } from "./guide.js";

const { auth } = createRequire(import.meta.url)("express-openid-connect");

// The interface of express-session's stores.
class MemoryStore {
  #entries = new Map();

  get(id, done) {
    done(null, this.#entries.get(id));
  }

  set(id, entry, done) {
    this.#entries.set(id, entry);
    done(null);
  }

  destroy(id, done) {
    this.#entries.delete(id);
    done(null);
  }
}

// `address` has the port to listen on. `pause` puts a listener in its place that hangs up, and answers another address, which nobody
// knows that the app is at meanwhile; `resume` brings it back. What the app knows stays.
export async function startExpressApp({ issuer, registration, address }) {
  const settings = await snippet("js", "auth({", {
    "https://login.example.org": issuer,
    "https://shop.example.org": address,
    '"shop"': JSON.stringify(registration.client_id),
  });
  const app = express();
  const surroundings = { env: { CLIENT_SECRET: registration.client_secret, SESSION_SECRET: "a secret for the cookies of the test's app" } };
  new Function("app", "auth", "store", "process", settings)(app, auth, new MemoryStore(), surroundings);
  app.get("/", (request, response) => {
    response.send(request.oidc.isAuthenticated() ? `Signed in: ${request.oidc.user.sub}` : "Signed out");
  });
  app.get("/name", async (request, response) => {
    response.send((await request.oidc.fetchUserInfo()).name);
  });

  const port = Number(new URL(address).port);
  const deaf = createServer((socket) => socket.destroy());
  let server;
  const open = async (at = port) => {
    server = app.listen(at, "127.0.0.1");
    await once(server, "listening");
  };
  const stop = async () => {
    if (deaf.listening) await new Promise((done) => deaf.close(done));
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  const pause = async () => {
    await stop();
    deaf.listen(port, "127.0.0.1");
    await once(deaf, "listening");
    await open(0);
    return `http://127.0.0.1:${server.address().port}`;
  };
  const resume = async () => {
    await stop();
    await open();
  };
  await open();
  return { address, pause, resume, stop };
}
