// The settings that docs/logout.md has for software of others: the tests run what it says, with the addresses of the test.
import { readFile } from "node:fs/promises";

const GUIDE = new URL("../../../docs/logout.md", import.meta.url);

// The block of code in `language` that contains `word`, with `replacements` of what the guide has as examples.
export async function snippet(language, word, replacements) {
  const guide = await readFile(GUIDE, "utf8");
  const blocks = [...guide.matchAll(/```(\w+)\n([^]*?)```/g)].filter(([, name, text]) => name === language && text.includes(word));
  if (blocks.length !== 1) throw new Error(`docs/logout.md has ${blocks.length} blocks of ${language} with ${word}, not one`);
  return Object.entries(replacements).reduce((text, [example, real]) => {
    if (!text.includes(example)) throw new Error(`the guide's settings do not name ${example}`);
    return text.replaceAll(example, real);
  }, blocks[0][2]);
}
