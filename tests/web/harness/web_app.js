// A server-side web app with openid-client: /login (its query goes on to Portico), /callback, /logout, and / which says who is signed in.
import { createServer } from "node:http";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import * as client from "openid-client";

const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const page = (title, main) => `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title></head>`
  + `<body><main><h1>${escape(title)}</h1>${main}</main></body></html>`;

// 64 by 64 pixels.
const LOGO = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAMAAACdt4HsAAAACVBMVEX///8fT6P6zFC921/QAAAAAXRSTlMAQObYZgAAAIdJREFUeNrt10EKgDAMRNF+73/o7lwIoSU/SCidreTt1JkxOoc36jiDEESebxIsYu8XAlux97EATgAngBNAChYAJ4AULPB59ASJBQuQA+gDkAU4BiAPcIEL1AH3bTzjo9rgz9Tg7+wLRoOO5GueL5q+6vqy7eu+HxwFk8eProLZVzA8K6bvf5ksQQ2t0MJ99QAAAABJRU5ErkJggg==", "base64");

async function body(request) {
  request.setEncoding("utf8");
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

class WebApp {
  constructor({ issuer, registration, address, home }) {
    Object.assign(this, { issuer, registration, address, home });
    this.pending = new Map();
    this.sessions = new Map();
    // What a frame of Portico's page has told it.
    this.heard = [];
    this.cookie = `session-of-${registration.client_id}`;
  }

  async config() {
    const { client_id: id, client_secret: secret } = this.registration;
    this.discovered ??= client.discovery(new URL(this.issuer), id, undefined, secret ? client.ClientSecretBasic(secret) : client.None(), {
      execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
    });
    return this.discovered;
  }

  async answer(request, response) {
    const url = new URL(request.url, this.address);
    const session = this.sessions.get(new RegExp(`${this.cookie}=([^;]+)`).exec(request.headers.cookie ?? "")?.[1]);
    const redirect = (location, headers = {}) => response.writeHead(303, { Location: location, ...headers }).end();
    const show = (status, title, main = "") => response.writeHead(status, { "Content-Type": "text/html; charset=utf-8" }).end(page(title, main));
    switch (url.pathname) {
      case "/login":
        return redirect(await this.login(url.searchParams));
      case "/callback":
        return this.callback(request, url, redirect, show);
      case "/logout":
        return redirect(await this.logout(session));
      case "/frontchannel":
        this.heard.push(Object.fromEntries(url.searchParams));
        return show(200, "Heard");
      case "/logo.png":
        return response.writeHead(200, { "Content-Type": "image/png" }).end(LOGO);
      case "/":
        return session
          ? show(200, `Signed in as ${session.claims.name ?? session.claims.sub}`, '<p><a href="/logout">Sign out</a></p>')
          : show(200, "Signed out", '<p><a href="/login">Sign in</a></p>');
      default:
        return show(404, "Nothing here");
    }
  }

  async login(parameters) {
    const [verifier, state, nonce] = [client.randomPKCECodeVerifier(), client.randomState(), client.randomNonce()];
    this.pending.set(state, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
    return client.buildAuthorizationUrl(await this.config(), {
      redirect_uri: `${this.address}/callback`,
      scope: "openid profile email",
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      nonce,
      ...Object.fromEntries(parameters),
    }).href;
  }

  async callback(request, url, redirect, show) {
    // A POST across sites brings no cookie of ours: the state alone says which login this is.
    const form = request.method === "POST" ? await body(request) : undefined;
    const state = new URLSearchParams(form ?? url.search).get("state");
    const checks = this.pending.get(state);
    if (!checks) return show(400, "No such login");
    this.pending.delete(state);
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const reached = form === undefined ? url : new Request(url, { method: "POST", headers, body: form });
    try {
      const tokens = await client.authorizationCodeGrant(await this.config(), reached, checks);
      const id = randomUUID();
      const userinfo = await client.fetchUserInfo(await this.config(), tokens.access_token, tokens.claims().sub);
      this.sessions.set(id, { claims: { ...tokens.claims(), ...userinfo }, idToken: tokens.id_token });
      return redirect(this.home, { "Set-Cookie": `${this.cookie}=${id}; Path=/; HttpOnly; SameSite=Lax` });
    } catch (error) {
      return show(400, "Login failed", `<p id="error">${escape(error.error ?? error.message)}</p>`);
    }
  }

  async logout(session) {
    this.sessions.clear();
    return client.buildEndSessionUrl(await this.config(), {
      ...(session && { id_token_hint: session.idToken }),
      post_logout_redirect_uri: `${this.address}/`,
    }).href;
  }
}

// `address` has the port to listen on; the registration with Portico names the same address. Its callback leads on to `home`.
export async function startWebApp({ issuer, registration, address, home = "/" }) {
  const app = new WebApp({ issuer, registration, address, home });
  const server = createServer((request, response) => {
    app.answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  server.listen(Number(new URL(address).port), "127.0.0.1");
  await once(server, "listening");
  return {
    address,
    claims: () => [...app.sessions.values()].at(-1)?.claims,
    heard: () => app.heard,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
