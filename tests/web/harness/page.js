// A page as a browser without script sees it: text, links, and forms with what is filled in already.
import { parse } from "parse5";

const attribute = (node, name) => node.attrs?.find((entry) => entry.name === name)?.value;

function* descendants(node) {
  for (const child of node.childNodes ?? []) {
    yield child;
    yield* descendants(child);
  }
}

function text(node) {
  const parts = [...descendants(node)].filter((child) => child.nodeName === "#text").map((child) => child.value);
  return parts.join("").replace(/\s+/g, " ").trim();
}

export class Form {
  constructor(node, base) {
    this.action = new URL(attribute(node, "action") ?? "", base);
    this.method = (attribute(node, "method") ?? "get").toUpperCase();
    const inside = [...descendants(node)];
    this.inputs = inside
      .filter((child) => child.nodeName === "input" && attribute(child, "name") !== undefined)
      .map((child) => ({
        name: attribute(child, "name"),
        type: attribute(child, "type") ?? "text",
        value: attribute(child, "value") ?? "",
        checked: attribute(child, "checked") !== undefined,
      }));
    this.buttons = inside
      .filter((child) => child.nodeName === "button" && (attribute(child, "type") ?? "submit") === "submit")
      .map((child) => ({ name: attribute(child, "name"), value: attribute(child, "value") ?? "", label: text(child) }));
  }

  has(type) {
    return this.inputs.some((input) => input.type === type);
  }

  // What a browser would send after `values` were typed in and `button` was pressed.
  data(values = {}, button = undefined) {
    const unknown = Object.keys(values).filter((name) => !this.inputs.some((input) => input.name === name));
    if (unknown.length > 0) throw new Error(`the form has no field ${unknown.join(", ")}`);
    const sent = this.inputs
      .filter(({ type, checked }) => !["checkbox", "radio"].includes(type) || checked)
      .filter(({ type }) => !["submit", "button", "reset"].includes(type))
      .map(({ name, value }) => [name, values[name] ?? value]);
    if (button?.name !== undefined) sent.push([button.name, button.value]);
    return new URLSearchParams(sent);
  }
}

export class Page {
  constructor(url, response, html) {
    this.url = url;
    this.status = response.status;
    this.headers = response.headers;
    const all = [...descendants(parse(html))];
    const body = all.find((node) => node.nodeName === "body");
    this.text = body ? text(body) : html;
    this.alert = all.filter((node) => attribute(node, "role") === "alert").map(text).join(" ");
    this.forms = all.filter((node) => node.nodeName === "form").map((node) => new Form(node, url));
    this.links = all
      .filter((node) => node.nodeName === "a" && attribute(node, "href") !== undefined)
      .map((node) => ({ href: new URL(attribute(node, "href"), url), label: text(node) }));
  }
}
