// `onnx-distill compare`: runs, resumes, refuses.
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cli, refusal, world } from "./helpers.ts";

const args = (at: (name: string) => string, ...more: string[]): string[] => [
  ...["compare", "--student", at("student.onnx"), "--teacher", at("teacher.onnx"), "--data", at("data.npz")],
  ...["--mean", "0.5", "--std", "0.25", "--batch", "32", "--epochs", "2", "--out", at("out"), ...more],
];
const rows = ["--row", "KD:", "--row", "labels: --no-teacher --lr 0.05"];

describe("compare", () => {
  it("trains every row from every seed, says what that shows, and goes on with more seeds", async () => {
    const { at } = world();
    const first = await cli(args(at, "--seeds", "2", ...rows));
    expect(first.err).toMatch(/KD, seed 0/);
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/validation % +test % +against the first/);
    const result = join(at("out"), "runs/labels/seed-1/result.json");
    const before = statSync(result).mtimeMs;
    expect(JSON.parse(readFileSync(join(at("out"), "runs/kd/seed-0/run.json"), "utf8")).config.samples).toBe(
      230,
    );
    expect(readFileSync(join(at("out"), "compare.md"), "utf8")).toMatch(/^\| {2}\| validation \(%\)/m);
    const page = readFileSync(join(at("out"), "compare.html"), "utf8");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page, "an option that was not typed, and does not exist").not.toContain("--nesterov");

    // One run is lost half-way; the others are not trained again.
    rmSync(join(at("out"), "runs/kd/seed-1/result.json"));
    const more = await cli(args(at, "--seeds", "3", "--resume", "--json", ...rows));
    expect(more.code).toBe(0);
    const lines = more.out
      .trim()
      .split("\n")
      .map((l) => JSON.parse(l));
    expect(lines.filter((l) => l.type === "result").map((l) => `${l.row} ${l.seed}`)).toEqual([
      "KD 0",
      "labels 0",
      "KD 1",
      "labels 1",
      "KD 2",
      "labels 2",
    ]);
    expect(lines.at(-1)).toMatchObject({ type: "comparison", metric: "top1" });
    expect(lines.at(-1).rows[1].difference.n).toBe(3);
    expect(statSync(result).mtimeMs).toBe(before);
    expect(existsSync(join(at("out"), "runs/kd/seed-1/result.json"))).toBe(true);
  });

  it("refuses what it can't do, in one line, before anything is trained", async () => {
    const { at } = world();
    const said = async (...more: string[]) => (await refusal(args(at, ...more))).replaceAll(at(""), "");
    expect(await said()).toBe('2 error: compare needs --row "name: options", once for each way of training');
    expect(await said("--row", ": --lr 1")).toBe(
      "2 error: --row ': --lr 1' has no name; write name: options",
    );
    expect(await said("--row", "a: --epoch 3")).toBe(
      "2 error: --row 'a': unknown option '--epoch'. Did you mean --epochs?",
    );
    expect(await said("--row", "a: 3")).toBe("2 error: --row 'a': \"3\" is no option; options begin with --");
    expect(await said("--row", "a:", "--row", "a: --lr 1")).toBe(
      '2 error: two rows are named "a"; give each a name of its own',
    );
    expect(await said("--row", "a:", "--resume")).toMatch(
      /^1 error: \S*out holds no comparison to go on with; leave --resume out to begin one$/,
    );
    expect(existsSync(at("out"))).toBe(false);
  });

  it("keeps every row's runs its own, also when rows are left out for a while", async () => {
    const { at } = world();
    const both = ["--row", "KD:", "--row", "kd: --lr 0.001"];
    expect((await cli(args(at, "--seeds", "1", ...both))).code).toBe(0);
    const own = JSON.parse(readFileSync(join(at("out"), "runs/kd-2/seed-0/result.json"), "utf8"));
    expect(own.result.row).toBe("kd");
    // The second row alone must not be given the first one's runs, whose folder its name would be.
    const alone = await cli(args(at, "--seeds", "1", "--resume", "--json", "--row", "kd: --lr 0.001"));
    expect(alone.code).toBe(0);
    expect(JSON.parse(alone.out.split("\n")[0] as string)).toMatchObject({ type: "result", ...own.result });
    // Nor may the row that was left out come back as another.
    expect(await refusal(args(at, "--seeds", "1", "--resume", "--row", "KD: --lr 0.5"))).toMatch(
      /out was begun with other options for row "KD"; resume with the same options, or name the new row otherwise$/,
    );
  });

  it("does not mix comparisons", async () => {
    const { at } = world();
    expect((await cli(args(at, "--seeds", "1", "--row", "a:"))).code).toBe(0);
    expect(await refusal(args(at, "--seeds", "1", "--row", "a:"))).toMatch(
      /^1 error: .*out holds a comparison already; go on with it with --resume, or choose another --out$/,
    );
    expect(await refusal(args(at, "--seeds", "1", "--resume", "--row", "a: --lr 0.5"))).toMatch(
      /^1 error: .*out was begun with other options for row "a"; resume with the same options, or name the new row otherwise$/,
    );
  });
});
