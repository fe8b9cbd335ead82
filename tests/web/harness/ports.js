// Ports for what must know its address before it starts, as an issuer does, and keeps it over a restart.
//
// They lie below those that systems hand out for `port 0` and for connections (from 32768 on Linux, from 49152 by IANA), so that no
// connection takes one between two moments of a test. Each process has a block of its own: it listens on the first of its ports as
// long as it lives, and who cannot, takes another block.
import { createServer } from "node:net";
import { randomInt } from "node:crypto";
import { once } from "node:events";

const FIRST = 10_240;
const BLOCK = 64;
const BLOCKS = 350;

const listen = async (port) => {
  const server = createServer();
  try {
    const listening = once(server, "listening");
    server.listen(port, "127.0.0.1");
    await listening;
    return server;
  } catch (error) {
    if (error.code === "EADDRINUSE" || error.code === "EACCES") return undefined;
    throw error;
  }
};

const isFree = async (port) => {
  const server = await listen(port);
  if (!server) return false;
  server.close();
  await once(server, "close");
  return true;
};

async function* portsOfOurs() {
  for (;;) {
    const first = FIRST + BLOCK * randomInt(BLOCKS);
    const guard = await listen(first);
    if (!guard) continue;
    guard.unref();
    for (let port = first + 1; port < first + BLOCK; port += 1) {
      if (await isFree(port)) yield port;
    }
  }
}

const ours = portsOfOurs();

export async function freePorts(count) {
  const ports = [];
  while (ports.length < count) ports.push((await ours.next()).value);
  return ports;
}
