// The sample app: all OAuth and OpenID Connect is oidc-client-ts; this file only shows what it answers.
"use strict";

const element = (id) => document.getElementById(id);

// Claims that are Unix times (OpenID Connect Core 2 and 5.1), shown as a time as well.
const TIMES = new Set(["auth_time", "exp", "iat", "nbf", "updated_at"]);

function describe(claim, value) {
  if (TIMES.has(claim) && typeof value === "number") {
    return `${value} (${new Date(value * 1000).toLocaleString()})`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

function row(cells, header) {
  const line = document.createElement("tr");
  cells.forEach((text, index) => {
    const cell = document.createElement(index === 0 ? "th" : "td");
    if (index === 0) cell.scope = "row";
    cell.textContent = text;
    if (header && header[index]) cell.dataset.label = header[index];
    line.append(cell);
  });
  return line;
}

function showClaims(id, claims) {
  const rows = Object.keys(claims).sort().map((claim) => row([claim, describe(claim, claims[claim])]));
  element(id).tBodies[0].replaceChildren(...rows);
}

function showAccounts(accounts) {
  if (!accounts || accounts.length === 0) return;
  const rows = accounts.map(({ login, username, password }) => row([login, username, password], ["Login", "Username", "Password"]));
  element("accounts").querySelector("tbody").replaceChildren(...rows);
  element("accounts").hidden = false;
}

function problem(error) {
  const description = error.error_description || error.message || String(error);
  const notice = element("problem");
  notice.textContent = `That did not work: ${description}${error.error ? ` (${error.error})` : ""}. You can try again.`;
  notice.hidden = false;
  element("status").textContent = "";
}

function status(text) {
  element("problem").hidden = true;
  element("status").textContent = text;
}

async function userInfo(manager, user) {
  const endpoint = await manager.metadataService.getUserInfoEndpoint();
  const response = await fetch(endpoint, { headers: { Authorization: `Bearer ${user.access_token}` } });
  if (!response.ok) throw new Error(`the UserInfo endpoint answered ${response.status}`);
  return response.json();
}

async function show(manager, user) {
  const signedIn = Boolean(user && !user.expired);
  // The ID token says that it is the same person as last time; what they are called stands at the UserInfo endpoint.
  let claims = {};
  let failure;
  if (signedIn) await userInfo(manager, user).then((answer) => { claims = answer; }, (error) => { failure = error; });
  element("signed-in").hidden = !signedIn;
  element("signed-out").hidden = signedIn;
  if (!signedIn) return;
  const ends = new Date(user.expires_at * 1000).toLocaleTimeString();
  element("tokens").textContent = `The access token is good until ${ends}, for: ${user.scope}.`;
  element("renew").hidden = !user.refresh_token;
  showClaims("id-token", user.profile);
  element("person").textContent = claims.name || claims.preferred_username || user.profile.sub;
  showClaims("userinfo", claims);
  if (failure) throw failure;
}

// Answers come back as `code` or `error` beside our `state`; they leave the address bar, so that a reload does not redeem them twice.
async function finishLogin(manager) {
  const query = new URLSearchParams(location.search);
  if (!query.has("state") || !(query.has("code") || query.has("error"))) return null;
  try {
    return await manager.signinRedirectCallback();
  } finally {
    history.replaceState(null, "", location.pathname);
  }
}

// Somebody else may begin the login: who comes from the iMIS web site is sent here with `iss` alone (OpenID Connect Core 4).
function begunElsewhere(authority) {
  const query = new URLSearchParams(location.search);
  return query.get("iss") === authority && !query.has("state");
}

// A button waits for its own work, and says what went wrong with it.
function onClick(id, work) {
  const button = element(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      problem(error);
    } finally {
      button.disabled = false;
    }
  });
}

async function start() {
  const settings = await (await fetch("settings.json")).json();
  const here = location.origin + location.pathname;
  const manager = new oidc.UserManager({
    authority: settings.authority,
    client_id: settings.client_id,
    redirect_uri: settings.redirect_uri || here,
    post_logout_redirect_uri: settings.post_logout_redirect_uri || here,
    scope: settings.scope || "openid profile email",
    automaticSilentRenew: false,
    filterProtocolClaims: false,
    userStore: new oidc.WebStorageStateStore({ store: window.sessionStorage }),
  });

  showAccounts(settings.accounts);
  element("account").href = `${settings.authority}/account`;
  onClick("sign-in", () => manager.signinRedirect());
  onClick("sign-out", () => manager.signoutRedirect());
  onClick("renew", async () => {
    status("Renewing …");
    await show(manager, await manager.signinSilent());
    status("Renewed: these are new tokens.");
  });

  try {
    if (begunElsewhere(settings.authority)) {
      await manager.signinRedirect();
      return;
    }
    await show(manager, (await finishLogin(manager)) || (await manager.getUser()));
  } catch (error) {
    await show(manager, await manager.getUser());
    problem(error);
  }
}

start().catch(problem);
