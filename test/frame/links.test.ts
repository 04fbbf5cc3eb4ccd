// Every relative link of the documentation leads to a file, and to a heading where it names one.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const pages = [
  ...["README.md", "CHANGELOG.md"],
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

/** As hosts of code make them: lower case, words joined by hyphens, other signs left out. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

describe.each(pages)("%s", (page) => {
  it("has no broken links", () => {
    const text = readFileSync(join(root, page), "utf8");
    for (const [, target] of text.matchAll(/\]\(([^()\s]+)\)/g)) {
      const [path, heading] = (target as string).split("#") as [string, string | undefined];
      if (/^[a-z]+:/.test(path)) continue;
      const file = path === "" ? join(root, page) : join(root, dirname(page), path);
      expect(existsSync(file), `${page} links to ${target}`).toBe(true);
      if (heading === undefined) continue;
      const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)].map((m) =>
        anchor(m[1] as string),
      );
      expect(headings, `${page} links to ${target}`).toContain(heading);
    }
  });
});
