// Rows of embeddings' tables that are not learned by being looked up. What PyTorch makes of the same models with padding_idx,
// with decay and tied heads: test/models/pytorch-steps.test.ts.
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { type Tensor, toNumbers } from "../../src/base/tensor.ts";
import { paddingRow, paddingRowsOf } from "../../src/cli/padding-row-option.ts";
import { readNpz } from "../../src/data/npz.ts";
import { arrayDataset, type DistillOptions, distill } from "../../src/index.ts";
import { readModel } from "../../src/onnx/read-model.ts";

const folder = new URL("../fixtures/pytorch-steps/", import.meta.url);
const file = (exporter: string) => readFileSync(new URL(`padding-row-sgd.${exporter}.onnx`, folder));
const arrays = readNpz(readFileSync(new URL("padding-row-sgd.npz", folder)), "npz");
const [x, y] = [arrays.get("x") as Tensor, toNumbers(arrays.get("y") as Tensor)];

const tableOf = (bytes: Uint8Array): Float32Array => {
  const { graph } = readModel(new Uint8Array(bytes));
  const table = graph.find("embed.weight");
  return (table && graph.constants.get(table)?.data) as Float32Array;
};
const rowsOf = (table: Float32Array): number[][] =>
  Array.from({ length: 11 }, (_, i) => [...table.subarray(6 * i, 6 * i + 6)]);

async function train(options: Partial<DistillOptions> = {}, exporter = "torchscript") {
  let [student, reason] = [new Uint8Array(), ""];
  for await (const event of distill({
    student: file(exporter),
    data: arrayDataset({ inputs: [x], labels: y }),
    batch: 8,
    epochs: 2,
    keep: "last",
    optimizer: { name: "adamw", weightDecay: 0 },
    worker: false,
    ...options,
  })) {
    if (event.type === "start")
      reason = event.roles.find((r) => r.names.includes("embed.weight"))?.reason ?? "";
    if (event.type === "done") student = event.student as Uint8Array<ArrayBuffer>;
  }
  return { table: tableOf(student), reason };
}

const before = rowsOf(tableOf(file("torchscript")));
const seen = new Set(toNumbers(x));

test.each([
  [{ "embed.weight": 0 }, [0]],
  [{ "embed.*": [3, -11] }, [0, 3]],
  [{ "*": 3, "embed.weight": 0 }, [0]],
])("%j: these rows keep their bits, the others are learned", async (paddingRows, kept) => {
  const { table, reason } = await train({ paddingRows });
  const after = rowsOf(table);
  for (const [i, row] of before.entries()) {
    if (kept.includes(i) || !seen.has(i)) expect(after[i]).toEqual(row);
    else expect(after[i]).not.toEqual(row);
  }
  expect(reason).toBe(
    `learned, taken by Gather, not row${kept.length > 1 ? "s" : ""} ${kept.join(", ")} where looked up (--padding-row)`,
  );
});

test("a file that shows the padding row says how to keep it, until it is kept", async () => {
  expect((await train({}, "dynamo")).reason).toBe(
    "PARAMETER in the file's graph signature, row 0 too, which PyTorch keeps (padding_idx): --padding-row 'embed.weight=0' does",
  );
  expect((await train({ paddingRows: { "embed.weight": 0 } }, "dynamo")).reason).toBe(
    "PARAMETER in the file's graph signature, not row 0 where looked up (--padding-row)",
  );
});

test("fresh weights leave the row as the file has it", async () => {
  const options = { init: "kaiming", learningRate: 1e-9 } as const;
  const after = rowsOf((await train({ ...options, paddingRows: { "embed.weight": 0 } })).table);
  expect(after[0]).toEqual(before[0]);
  expect(after[1]).not.toEqual(before[1]);
});

test.each<[DistillOptions["paddingRows"], string]>([
  [
    { "embed.weight": 11 },
    `paddingRows (--padding-row) 'embed.weight': "embed.weight" of student has rows 0 to 10, not 11`,
  ],
  [
    { "hidden.bias": 0 },
    `paddingRows (--padding-row) 'hidden.bias' names no table of student whose rows are looked up (Gather on axis 0): those are "embed.weight"`,
  ],
  [
    { "embed.wight": 0 },
    `paddingRows (--padding-row) 'embed.wight' matches no weight of student. Did you mean "embed.weight"?`,
  ],
  [
    { "embed.weight": 0.5 },
    `distill: paddingRows["embed.weight"] must be a row or rows, whole numbers, got 0.5`,
  ],
  [
    { "embed.weight": [] },
    `distill: paddingRows["embed.weight"] must be a row or rows, whole numbers, got []`,
  ],
])("%j is refused", async (paddingRows, message) => {
  await expect(train({ paddingRows })).rejects.toThrow(message);
});

test("of a table that stays there is nothing to keep", async () => {
  await expect(train({ paddingRows: { "embed.weight": 0 }, freeze: ["embed.*"] })).rejects.toThrow(
    "paddingRows (--padding-row) 'embed.weight' names no table of student that is trained; leave it out",
  );
});

test("a run goes on with the rows that it was begun with", async () => {
  const out = join(mkdtempSync(join(tmpdir(), "padding-rows-")), "run");
  await train({ out, paddingRows: { "embed.weight": 0 } });
  await expect(train({ out, resume: true, epochs: 3 })).rejects.toThrow(
    `${out} was begun with paddingRows {"embed.weight":[0]}, now it is (none); resume with the same options, or start a new run`,
  );
});

test("--padding-row: a table, = and a row, several times", () => {
  const parse = (...words: string[]) =>
    paddingRowsOf(
      new Command()
        .exitOverride()
        .configureOutput({ outputError: () => {} })
        .option("--padding-row <t=row>", "", paddingRow)
        .parse(words, { from: "user" })
        .opts<{ paddingRow?: string[] }>().paddingRow,
    );
  expect(parse()).toBeUndefined();
  expect(parse("--padding-row", "a.*=0", "--padding-row", "a.*=-1", "--padding-row=b=c=7")).toEqual({
    "a.*": [0, -1],
    "b=c": [7],
  });
  for (const wrong of ["embed.weight", "=0", "embed.weight=", "embed.weight=0.5", "embed.weight=zero"])
    expect(() => parse("--padding-row", wrong)).toThrow(
      `error: option '--padding-row <t=row>' argument '${wrong}' is invalid. Expected a table of embeddings, = and a row: embed.weight=0.`,
    );
});
