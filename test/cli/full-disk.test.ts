// A disk that fills up, or is read-only: simulated where the files are written, for a test may not mount one.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { cli, trainArgs, world } from "./helpers.ts";

const disk = vi.hoisted(() => ({ fails: (_path: string): string | undefined => undefined }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const paths = new Map<number, string>();
  const check = (path: string): void => {
    const code = disk.fails(path);
    if (code) throw Object.assign(new Error(`${code}: simulated`), { code });
  };
  return {
    ...fs,
    openSync: ((path: string, ...rest: [string]) => {
      const file = fs.openSync(path, ...rest);
      paths.set(file, path);
      return file;
    }) as typeof fs.openSync,
    writeSync: ((file: number, ...rest: [Uint8Array]) => {
      check(paths.get(file) ?? "");
      return fs.writeSync(file, ...rest);
    }) as typeof fs.writeSync,
    appendFileSync: ((path: string, text: string) => {
      check(path);
      fs.appendFileSync(path, text);
    }) as typeof fs.appendFileSync,
    mkdirSync: ((path: string, options: object) => {
      check(path);
      return fs.mkdirSync(path, options);
    }) as typeof fs.mkdirSync,
  };
});

/** Every file below `folder`. */
function files(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((f) => f.isFile())
    .map((f) => join(f.parentPath, f.name).slice(folder.length + 1))
    .sort();
}

describe("a disk that fails", () => {
  it.each([
    ["run.json", "ENOSPC", "the disk is full; free some space"],
    ["metrics.jsonl", "ENOSPC", "the disk is full; free some space"],
    ["student.onnx", "ENOSPC", "the disk is full; free some space"],
    ["state.bin", "ENOSPC", "the disk is full; free some space"],
    ["report.html", "ENOSPC", "the disk is full; free some space"],
    ["checkpoints", "EROFS", "the disk is read-only; choose another --out"],
  ])("at %s: %s", async (name, code, why) => {
    const { at } = world();
    disk.fails = (path) => (path.includes(name) ? code : undefined);
    const said = await cli(trainArgs(at, "out", "--epochs", "1"));
    disk.fails = () => undefined;
    expect([said.code, said.out]).toEqual([1, ""]);
    const last = said.err.trimEnd().split("\n").at(-1);
    expect(last).toMatch(/^error: cannot (write|save|make the run folder) /);
    expect(last).toContain(why);
    // What is there is whole: no file under its own name that was being written, and every JSON file parses.
    const left = files(at("out"));
    expect(left.filter((f) => f.endsWith(name))).toEqual([]);
    for (const f of left.filter((f) => f.endsWith(".json") && !f.includes(".tmp")))
      JSON.parse(readFileSync(at(`out/${f}`), "utf8"));
    expect(left.filter((f) => /^[^/]*\.tmp/.test(f))).toEqual([]);
  });
});
