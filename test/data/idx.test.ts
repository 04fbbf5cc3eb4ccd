import { describe, expect, it } from "vitest";
import { readIdx } from "../../src/data/idx.ts";
import { idxDataset } from "../../src/data/idx-dataset.ts";
import { count, failure, gzip, type IdxType, idxFile } from "./files.ts";

describe("readIdx", () => {
  it.each<[IdxType, number[]]>([
    ["uint8", [0, 1, 127, 128, 255, 7]],
    ["int8", [0, 1, 127, -128, -1, 7]],
    ["int16", [0, 258, 32767, -32768, -2, 7]],
    ["int32", [0, 0x01020304, 2147483647, -2147483648, -2, 7]],
    ["float32", [0, 0.5, -1.25, 1e10, -2, 7]],
    ["float64", [0, 1 / 3, -1.25, 1e300, -2, 7]],
  ])("reads %s, gzipped and plain", async (dtype, values) => {
    const file = idxFile([2, 3], values, dtype);
    for (const bytes of [file, gzip(file)]) {
      const array = await readIdx(bytes, "f");
      expect(array.dtype).toBe(dtype);
      expect(array.dims).toEqual([2, 3]);
      expect(Array.from(array.data, Number)).toEqual(
        values.map((x) => (dtype === "float32" ? Math.fround(x) : x)),
      );
    }
  });

  it("reads a view that starts at an odd byte", async () => {
    const file = idxFile([3], [1, 2, 3], "int32");
    const larger = new Uint8Array(file.length + 1);
    larger.set(file, 1);
    expect([...(await readIdx(larger.subarray(1), "f")).data]).toEqual([1, 2, 3]);
  });

  const good = idxFile([2, 2, 2], count(8));
  it.each<[string, Uint8Array, string]>([
    ["empty", new Uint8Array(0), "E_FILE: f: the file is empty"],
    [
      "of another kind",
      new TextEncoder().encode("hello"),
      "E_FILE: f: not an IDX file: it starts with 68 65 6c 6c, expected 00 00, an element type (08, 09, 0b to 0e) and a rank",
    ],
    [
      "of an unknown element type",
      Uint8Array.of(0, 0, 10, 1, 0, 0, 0, 0),
      "E_FILE: f: not an IDX file: it starts with 00 00 0a 01, expected 00 00, an element type (08, 09, 0b to 0e) and a rank",
    ],
    [
      "cut short in the header",
      good.subarray(0, 10),
      "E_FILE: f: cut short within its header: 10 of 16 bytes; fetch or copy the file again",
    ],
    [
      "cut short in the data",
      good.subarray(0, -3),
      "E_FILE: f: cut short: the header promises [2,2,2] uint8, 8 bytes, and 5 follow; fetch or copy the file again",
    ],
    [
      "too long",
      Uint8Array.of(...good, 1),
      "E_FILE: f: bytes left over: the header promises [2,2,2] uint8, 8 bytes, and 9 follow; fetch or copy the file again",
    ],
  ])("refuses a file that is %s", async (_, bytes, message) => {
    expect(await failure(() => readIdx(bytes, "f"))).toBe(message);
  });

  it("refuses gzip data cut short or with a wrong checksum", async () => {
    const packed = gzip(
      idxFile(
        [1000],
        count(1000).map((i) => (i * 7919) & 255),
      ),
    );
    const damaged = packed.slice();
    damaged[damaged.length - 6]! ^= 1;
    for (const bytes of [packed.subarray(0, -30), packed.subarray(0, 5), damaged])
      expect(await failure(() => readIdx(bytes, "f.gz"))).toBe(
        `E_FILE: f.gz: the gzip data is cut short or damaged (${bytes.length} bytes); fetch or copy the file again`,
      );
  });
});

describe("idxDataset", () => {
  const images = idxFile([3, 2, 2], count(12));

  it("pairs images and labels", async () => {
    const dataset = await idxDataset(images, gzip(idxFile([3], [2, 0, 1])), { classNames: ["a", "b", "c"] });
    expect(dataset).toMatchObject({ length: 3, hasLabels: true, classes: 3, classNames: ["a", "b", "c"] });
    const { inputs, labels } = await dataset.read([2, 0]);
    expect(inputs[0]!.dims).toEqual([2, 1, 2, 2]);
    expect([...(labels as Int32Array)]).toEqual([1, 2]);
    expect(Array.from(inputs[0]!.data as Float32Array)).toEqual(
      [8, 9, 10, 11, 0, 1, 2, 3].map((x) => Math.fround(x / 255)),
    );
  });

  it("does without labels", async () => {
    const dataset = await idxDataset(images, undefined);
    expect(dataset.hasLabels).toBe(false);
    expect(dataset.classes).toBeUndefined();
    expect((await dataset.read([0])).labels).toBeUndefined();
  });

  it("says which files do not fit together, and which label is out of range", async () => {
    const named = { imagesSource: "i", labelsSource: "l" };
    expect(await failure(() => idxDataset(images, idxFile([2], [0, 1]), named))).toBe(
      "E_DATA: i with l: 3 samples, but the array of labels has 2; they must belong together, one for one",
    );
    expect(await failure(() => idxDataset(images, idxFile([3], [0, 1, 7]), { ...named, classes: 5 }))).toBe(
      "E_DATA: i with l: sample 2 has label 7, but 5 classes leave only 0 to 4; correct the label or the number of classes",
    );
    // Labels for each position are a task's to judge.
    expect((await idxDataset(images, images, named)).classes).toBeUndefined();
    expect(await failure(() => idxDataset(images, undefined, { meen: 1 } as object))).toBe(
      'E_OPTION: idxDataset: unknown option "meen". Did you mean "mean"?',
    );
  });
});
