// What the libraries expect of the platform, on every Node.js from Debian's on. Loaded before anything else (package.json).
import { webcrypto } from "node:crypto";
import { setDefaultResultOrder } from "node:dns";

// Node.js 18 has both, but not as globals.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;

// Portico listens on 127.0.0.1, and Node.js 18 would try ::1 alone for "localhost".
setDefaultResultOrder("ipv4first");
