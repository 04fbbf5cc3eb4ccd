import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const map = [
  ...readFileSync(join(root, "docs/architecture.md"), "utf8").matchAll(/^\| `src\/(\w+)\/`/gm),
].map((m) => m[1]);
const require = createRequire(import.meta.url);

describe("docs/architecture.md", () => {
  it("shows every room of the tree, and no other", () => {
    const rooms = readdirSync(join(root, "src"), { withFileTypes: true })
      .filter((e) => e.isDirectory())
      .map((e) => e.name);
    expect([...map].sort()).toEqual(rooms.sort());
  });

  it("lists the rooms in the order that the import rules hold", () => {
    const rules = (require(join(root, ".dependency-cruiser.cjs")) as { forbidden: { name: string }[] })
      .forbidden;
    const order = rules
      .map((r) => /^(\w+)-imports-upwards-only$/.exec(r.name)?.[1])
      .filter((r) => r !== undefined);
    expect(map).toEqual(order);
  });
});

describe("imports", () => {
  it("go one way, without circles", () => {
    const bin = join(root, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
    expect(existsSync(bin)).toBe(true);
    const out = execFileSync(process.execPath, [bin, "src", "--config", ".dependency-cruiser.cjs"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(out).toContain("no dependency violations found");
  });
});
