// What a person does between an app's link and the app's callback, page by page, whatever pages come.
import { Page } from "./page.js";

const MOST_PAGES = 8;

function choose(agent, page, label) {
  const link = page.links.find((candidate) => candidate.label.includes(label));
  if (link) return agent.open(link.href);
  for (const form of page.forms) {
    const button = form.buttons.find((candidate) => candidate.label.includes(label));
    if (button) return agent.submit(form, {}, button);
  }
  return undefined;
}

// Answers as `Agent.open` does; a page that nobody foresaw is an error with its text.
export async function logIn(agent, authorizationUrl, person, { decision = "allow" } = {}) {
  let page = await agent.open(authorizationUrl);
  for (let count = 0; count < MOST_PAGES && page instanceof Page; count += 1) {
    if (page.alert) throw new Error(`${page.url.pathname} says: ${page.alert}`);
    page = await next(agent, page, person, decision);
  }
  return page;
}

// From a device's `verification_uri_complete` to the page that says that the device may go on.
export async function letIn(agent, address, person) {
  const asked = await agent.open(address);
  let page = await agent.submit(asked.forms.find((form) => form.inputs.some(({ name }) => name === "user_code")));
  for (let count = 0; count < MOST_PAGES; count += 1) {
    const decides = page.forms.some((form) => form.buttons.some(({ name }) => name === "decision"));
    page = await next(agent, page, person, "allow");
    if (decides) return page;
  }
  throw new Error(`nobody was asked about the device; the last page was ${page.url}`);
}

async function next(agent, page, person, decision) {
  const [only] = page.forms;
  // A response by form_post is sent on by script, or by the button it has for those without.
  if (page.forms.length === 1 && agent.apps.some((app) => only.action.href.startsWith(app))) return agent.submit(only);

  for (const form of page.forms) {
    const button = form.buttons.find((candidate) => candidate.name === "decision" && candidate.value === decision);
    if (button) return agent.submit(form, {}, button);
  }

  const chosen = choose(agent, page, person.label);
  if (chosen) return chosen;

  // Ours and the upstream's: neither login page has more than these two fields.
  const password = page.forms.find((form) => form.has("password"));
  if (password) {
    const [username] = password.inputs.filter(({ type }) => ["text", "email"].includes(type));
    const [secret] = password.inputs.filter(({ type }) => type === "password");
    return agent.submit(password, { [username.name]: person.username, [secret.name]: person.password });
  }
  throw new Error(`no way on from ${page.url} (${page.status}): ${page.text}`);
}
