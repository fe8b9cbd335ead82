// A web app with Express and express-openid-connect, set up as docs/logout.md says: / says who is signed in, /name what
// they are called.
import express from "express";
import { once } from "node:events";
import { createRequire } from "node:module";
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

// `address` has the port to listen on. `pause` ends the listener and `resume` opens it anew; what the app knows stays.
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

  let server;
  const resume = async () => {
    server = app.listen(Number(new URL(address).port), "127.0.0.1");
    await once(server, "listening");
  };
  const pause = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  await resume();
  return { address, pause, resume, stop: () => server.listening && pause() };
}
