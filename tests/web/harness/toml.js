// Writes a configuration as TOML 1.0. Nested objects become inline tables, arrays of objects become [[tables]].

// JSON's string escapes are all TOML's as well.
function inline(value) {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (typeof value === "object") {
    return `{ ${Object.entries(value).map(([key, entry]) => `${key} = ${inline(entry)}`).join(", ")} }`;
  }
  return JSON.stringify(value);
}

const isTable = (value) => typeof value === "object" && !Array.isArray(value);
const isTables = (value) => Array.isArray(value) && value.length > 0 && value.every(isTable);

export function toml(config) {
  const entries = Object.entries(config).filter(([, value]) => value !== undefined);
  const keys = (table) => Object.entries(table)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} = ${inline(value)}`);
  const lines = entries.filter(([, value]) => !isTable(value) && !isTables(value)).map(([key, value]) => `${key} = ${inline(value)}`);
  for (const [name, value] of entries) {
    if (isTable(value)) lines.push("", `[${name}]`, ...keys(value));
    if (isTables(value)) for (const table of value) lines.push("", `[[${name}]]`, ...keys(table));
  }
  return `${lines.join("\n")}\n`;
}
