import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openDataset } from "../../src/data/open-dataset.ts";
import { count, failure, gzip, idxFile, npzFile } from "./files.ts";

const root = mkdtempSync(join(tmpdir(), "onnx-distill-data-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A new folder with these files. */
function folder(files: Record<string, Uint8Array | string>): string {
  const path = mkdtempSync(join(root, "d-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}
const images = (n: number) => idxFile([n, 2, 2], count(4 * n));

describe("openDataset", () => {
  it("opens a folder with MNIST's names, gzipped or not, with class names", async () => {
    const path = folder({
      "train-images-idx3-ubyte": images(3),
      "train-labels-idx1-ubyte.gz": gzip(idxFile([3], [0, 1, 1])),
      "t10k-images.idx3-ubyte": images(2),
      "t10k-labels.idx1-ubyte": idxFile([2], [1, 0]),
      "classes.txt": "cat\r\ndog\n\n",
    });
    const train = await openDataset(path);
    const test = await openDataset(path, { split: "test", mean: 1, classNames: ["a", "b", "c"] });
    expect(train).toMatchObject({ length: 3, hasLabels: true, classes: 2, classNames: ["cat", "dog"] });
    expect(test).toMatchObject({ length: 2, classes: 3, classNames: ["a", "b", "c"] });
    const batch = await test.read([1]);
    expect([...(batch.labels as Int32Array)]).toEqual([0]);
    expect(batch.inputs[0]!.data).toEqual(Float32Array.from([4, 5, 6, 7], (x) => x / 255 - 1));
  });

  it("opens a pair of files, one file, and an archive", async () => {
    const path = folder({
      "i.bin": gzip(images(3)),
      "l.bin": idxFile([3], [0, 2, 1]),
      "d.dat": npzFile({ x: [Uint8Array.from(count(8)), [2, 2, 2]], y: [[0, 1], [2]] }),
    });
    const pair = await openDataset(`${join(path, "i.bin")}, ${join(path, "l.bin")}`);
    expect([...((await pair.read([0, 1, 2])).labels as Int32Array)]).toEqual([0, 2, 1]);
    expect(await openDataset(join(path, "i.bin"))).toMatchObject({ length: 3, hasLabels: false });
    expect(await openDataset(join(path, "d.dat"))).toMatchObject({ length: 2, hasLabels: true, classes: 2 });
  });

  it("says what it looked for when nothing is there", async () => {
    const missing = join(root, "missing");
    expect(await failure(() => openDataset(missing))).toBe(
      `E_FILE: ${missing}: no such file or folder; expected a folder with train-images-idx3-ubyte[.gz] and its kin, ` +
        'an .npz file, or two IDX files "images,labels"',
    );
    const other = folder({ "a.txt": "", "b.txt": "" });
    expect(await failure(() => openDataset(other, { split: "test" }))).toBe(
      `E_FILE: ${other}: no test images: looked for t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, ` +
        "t10k-images.idx3-ubyte, t10k-images.idx3-ubyte.gz; the folder holds a.txt, b.txt",
    );
    const file = join(other, "a.txt");
    expect(await failure(() => openDataset(file))).toBe(
      `E_FILE: ${file}: neither an IDX file (gzipped or not) nor an .npz file`,
    );
    expect(await failure(() => openDataset(`${file},${missing}`))).toContain("neither an IDX file");
    const pair = folder({ i: images(1) });
    expect(await failure(() => openDataset(`${join(pair, "i")},${missing}`))).toBe(
      `E_FILE: ${missing}: no such file`,
    );
    expect(await failure(() => openDataset(join(pair, "i"), { split: "test" }))).toBe(
      `E_FILE: ${join(pair, "i")}: a single IDX file has no test part; give the folder it is in`,
    );
  });

  it("names the damaged file, and the sample whose label has no class", async () => {
    const cut = folder({ "train-images-idx3-ubyte": images(3).subarray(0, 20) });
    expect(await failure(() => openDataset(cut))).toBe(
      `E_FILE: ${join(cut, "train-images-idx3-ubyte")}: cut short: the header promises [3,2,2] uint8, 12 bytes, and 4 follow; fetch or copy the file again`,
    );
    const wrong = folder({
      "train-images-idx3-ubyte": images(3),
      "train-labels-idx1-ubyte": idxFile([3], [0, 1, 2]),
      "classes.txt": "cat\ndog\n",
    });
    expect(await failure(() => openDataset(wrong))).toContain(
      "sample 2 has label 2, but 2 classes leave only 0 to 1; correct the label or the number of classes",
    );
  });

  it("refuses unknown options", async () => {
    expect(await failure(() => openDataset(root, { spilt: "test" } as object))).toBe(
      'E_OPTION: openDataset: unknown option "spilt". Did you mean "split"?',
    );
    expect(await failure(() => openDataset(root, { split: "val" as "test" }))).toBe(
      `E_OPTION: ${root}: unknown split "val"; expected "train" or "test"`,
    );
  });
});

describe("the demo data", () => {
  const assets = fileURLToPath(new URL("../../assets/fashion-mnist/", import.meta.url));

  it.each([
    ["train", 16_000],
    ["test", 3_000],
  ] as const)("has a stratified %s part of %i samples with named classes", async (split, length) => {
    const dataset = await openDataset(assets, { split, mean: 0.286, std: 0.353 });
    expect(dataset).toMatchObject({ length, classes: 10, hasLabels: true });
    expect(dataset.classNames).toHaveLength(10);
    const { inputs, labels } = await dataset.read(count(length));
    expect(inputs[0]!.dims).toEqual([length, 1, 28, 28]);
    expect(count(10).map((c) => (labels as Int32Array).filter((label) => label === c).length)).toEqual(
      new Array(10).fill(length / 10),
    );
    // Mean and deviation of the full training set are in its README, so the part must come close to 0 and 1.
    const pixels = inputs[0]!.data as Float32Array;
    const mean = pixels.reduce((sum, x) => sum + x, 0) / pixels.length;
    const variance = pixels.reduce((sum, x) => sum + (x - mean) ** 2, 0) / pixels.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  });

  it("is under 9 MB and carries its licence", () => {
    const names = readdirSync(assets).filter((name) => !name.startsWith("teacher."));
    const sizes = names.map((name) => statSync(join(assets, name)).size);
    expect(sizes.reduce((a, b) => a + b)).toBeLessThan(9e6);
    expect(statSync(join(assets, "teacher.onnx")).size).toBeLessThan(1e6);
    expect(readdirSync(assets)).toEqual(expect.arrayContaining(["LICENSE", "README.md", "classes.txt"]));
  });
});
