// Programs that a test starts: what they print is kept, and none outlives the test run.
import { spawn } from "node:child_process";
import { once } from "node:events";

const PATIENCE_MS = 60_000;
const running = new Set();

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

class Program {
  constructor(name, child) {
    this.name = name;
    this.child = child;
    this.output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => { this.output += text; });
    }
    running.add(child);
    // "close" comes after the last of the output, and an error where there was nothing to start.
    this.ended = once(child, "close").then(([code, signal]) => signal ?? code, (error) => error.message).then((exit) => {
      running.delete(child);
      this.exit = exit;
      return exit;
    });
  }

  // The first match in what it prints; a program that ends without one is an error with all that it said.
  async printed(pattern) {
    return this.#until(() => pattern.exec(this.output), `prints ${pattern}`);
  }

  // Waits until `probe` answers something true.
  async ready(probe) {
    return this.#until(probe, "is ready");
  }

  async #until(probe, what) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = await probe();
      if (answer) return answer;
      if (this.exit !== undefined) throw new Error(`${this.name} ended (${this.exit}) before it ${what}:\n${this.output}`);
      if (Date.now() > deadline) throw new Error(`${this.name}: waited in vain until it ${what}:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  // Asks it to end, as an init system would; one that does not is an error.
  async stop() {
    if (this.exit !== undefined) return;
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), PATIENCE_MS);
    const exit = await this.ended;
    clearTimeout(timer);
    if (exit !== 0) throw new Error(`${this.name} ended with ${exit} when asked to stop:\n${this.output}`);
  }
}

export function start(name, command, args, environment = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  return new Program(name, child);
}

// Runs a program to its end; a failure is an error with what it printed.
export async function run(name, command, args, environment = {}) {
  const program = start(name, command, args, environment);
  const exit = await program.ended;
  if (exit !== 0) throw new Error(`${name} ended with ${exit}:\n${program.output}`);
  return program.output;
}
