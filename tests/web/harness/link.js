// The way between a browser and Portico, at the issuer's address: answers are lost on it, and requests wait for each other.
import { createServer, request as send } from "node:http";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";

// What stands for one answer in the way of all others: it arrives in part, so that a browser does not send the request again by itself, as
// it does where a connection is closed without a word.
function tear(response, { statusCode, headers }, body) {
  response.writeHead(statusCode, { ...headers, "content-length": body.length });
  response.write(body.subarray(0, body.length / 2), () => response.destroy());
}

class Link {
  #lost = 0;
  #awaited = 0;
  #waiting = [];
  // What was asked of the token endpoint, in the order of arrival: the form, and once there is one, the status of Portico's answer and
  // whether it was lost.
  asked = [];

  constructor(to) {
    this.to = to;
  }

  // The next `count` answers of the token endpoint do not arrive.
  lose(count) {
    this.#lost = count;
  }

  // The next `count` requests to the token endpoint go on together, once all are there.
  gather(count) {
    this.#awaited = count;
  }

  async answer(request, response) {
    const body = await buffer(request);
    const ask = request.method === "POST" && request.url === "/token" ? { form: new URLSearchParams(String(body)) } : undefined;
    if (ask) {
      this.asked.push(ask);
      await this.#together();
    }
    const { method, url: path, headers } = request;
    const onward = send({ host: "127.0.0.1", port: this.to, method, path, headers, agent: false });
    onward.end(body);
    const [answer] = await once(onward, "response");
    const content = await buffer(answer);
    // A connection is never used again.
    const told = { statusCode: answer.statusCode, headers: { ...answer.headers, connection: "close" } };
    if (ask) Object.assign(ask, { status: answer.statusCode, lost: this.#lost > 0 });
    if (!ask?.lost) return response.writeHead(told.statusCode, told.headers).end(content);
    this.#lost -= 1;
    return tear(response, told, content);
  }

  #together() {
    if (this.#awaited === 0) return undefined;
    const gathered = new Promise((go) => this.#waiting.push(go));
    if (this.#waiting.length === this.#awaited) {
      this.#awaited = 0;
      for (const go of this.#waiting.splice(0)) go();
    }
    return gathered;
  }
}

// Listens on `port` and hands on to `to`.
export async function startLink({ port, to }) {
  const link = new Link(to);
  const server = createServer((request, response) => {
    // Nobody listens while the server is starting anew.
    link.answer(request, response).catch(() => response.destroy());
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  link.stop = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return link;
}
