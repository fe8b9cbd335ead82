// A cookie jar that is as strict as a browser where it matters here (RFC 6265, and the __Host- rules of its successor).

export class CookieJar {
  #cookies = new Map();

  receive(url, headers) {
    for (const line of headers.getSetCookie()) this.#set(url, line);
  }

  #set(url, line) {
    const [pair, ...rest] = line.split(";").map((part) => part.trim());
    const separator = pair.indexOf("=");
    const name = pair.slice(0, separator);
    const attributes = new Map(rest.map((part) => {
      const [key, ...value] = part.split("=");
      return [key.toLowerCase(), value.join("=")];
    }));
    if (name.startsWith("__Host-") && !(attributes.has("secure") && attributes.get("path") === "/" && !attributes.has("domain"))) {
      throw new Error(`a browser refuses this cookie: ${name}; ${rest.join("; ")}`);
    }
    if (attributes.has("domain")) throw new Error(`the cookie ${name} is for a whole domain`);
    const path = attributes.get("path") ?? "/";
    const key = `${url.hostname} ${path} ${name}`;
    const maxAge = attributes.has("max-age") ? Number(attributes.get("max-age")) : undefined;
    const gone = maxAge !== undefined ? maxAge <= 0 : attributes.has("expires") && Date.parse(attributes.get("expires")) <= Date.now();
    if (gone) this.#cookies.delete(key);
    else this.#cookies.set(key, { host: url.hostname, path, name, value: pair.slice(separator + 1) });
  }

  header(url) {
    const reaches = ({ host, path }) => host === url.hostname
      && (url.pathname === path || url.pathname.startsWith(path.endsWith("/") ? path : `${path}/`));
    return [...this.#cookies.values()].filter(reaches).map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  names(host) {
    return [...this.#cookies.values()].filter((cookie) => cookie.host === host).map(({ name }) => name);
  }
}
