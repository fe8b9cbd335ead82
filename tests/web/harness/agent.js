// A person with a browser without script: opens pages, follows redirects, fills in the forms that it is given.
import { CookieJar } from "./cookies.js";
import { Page } from "./page.js";

const MOST_REDIRECTS = 20;

export class Agent {
  jar = new CookieJar();

  // Redirects to an address that starts with one of `apps` are not followed: the app's library takes it from there.
  constructor(...apps) {
    this.apps = apps;
  }

  open(url) {
    this.origin = undefined;
    return this.#request(new URL(url), "GET");
  }

  submit(form, values, button = form.buttons[0]) {
    const data = form.data(values, button);
    if (this.#isApp(form.action)) return { url: form.action, data };
    if (form.method === "POST") return this.#request(form.action, "POST", data);
    const url = new URL(form.action);
    url.search = data;
    return this.#request(url, "GET");
  }

  // Answers { url } when an app is reached, { url, data } when it is by a POST, else the page.
  async #request(start, startMethod, startBody) {
    let [url, method, body] = [start, startMethod, startBody];
    for (let count = 0; count < MOST_REDIRECTS; count += 1) {
      const headers = { Cookie: this.jar.header(url), Accept: "text/html", "Accept-Language": "en" };
      if (method === "POST") headers.Origin = this.origin ?? "null";
      if (this.origin) headers.Referer = `${this.origin}/`;
      const response = await fetch(url, { method, body, headers, redirect: "manual" });
      this.jar.receive(url, response.headers);
      const location = response.headers.get("location");
      if (location === null) {
        this.origin = response.headers.get("referrer-policy") === "no-referrer" ? undefined : url.origin;
        return new Page(url, response, await response.text());
      }
      await response.arrayBuffer();
      // 307 and 308 would send a password on (T9).
      if (method === "POST" && response.status !== 303 && response.status !== 302) {
        throw new Error(`a POST to ${url.pathname} was answered with ${response.status}`);
      }
      [url, method, body] = [new URL(location, url), "GET", undefined];
      if (this.#isApp(url)) return { url };
    }
    throw new Error(`more than ${MOST_REDIRECTS} redirects, the last to ${url}`);
  }

  #isApp(url) {
    return this.apps.some((app) => url.href.startsWith(app));
  }
}
