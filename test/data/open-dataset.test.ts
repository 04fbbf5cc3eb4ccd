import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dump } from "npyjs";
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
        'an .npz file, or two files "images,labels" (IDX, .npy or .npz)',
    );
    const other = folder({ "a.txt": "", "b.txt": "" });
    expect(await failure(() => openDataset(other, { split: "test" }))).toBe(
      `E_FILE: ${other}: no test images: looked for t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, ` +
        "t10k-images.idx3-ubyte, t10k-images.idx3-ubyte.gz, or one named like x_test.npy; the folder holds a.txt, b.txt",
    );
    const file = join(other, "a.txt");
    expect(await failure(() => openDataset(file))).toBe(
      `E_FILE: ${file}: neither an IDX file (gzipped or not) nor an .npy or .npz file`,
    );
    expect(await failure(() => openDataset(`${file},${missing}`))).toContain("neither an IDX file");
    const pair = folder({ i: images(1) });
    expect(await failure(() => openDataset(`${join(pair, "i")},${missing}`))).toBe(
      `E_FILE: ${missing}: no such file`,
    );
    expect(await failure(() => openDataset(join(pair, "i"), { split: "test" }))).toBe(
      `E_FILE: ${join(pair, "i")}: a file of one array has no test part; give the folder it is in, or the files of the test part`,
    );
  });

  const npy = (values: number[] | Uint8Array, dims: number[]) => new Uint8Array(dump(values, dims));
  const pixels = (n: number) => npy(Uint8Array.from(count(4 * n)), [n, 2, 2]);
  const labelsOf = async (path: string, split?: "train" | "test") => {
    const data = await openDataset(path, split && { split });
    const { inputs, labels } = await data.read(count(data.length));
    expect(inputs[0]!.dims).toEqual([data.length, 1, 2, 2]);
    return labels && [...(labels as Int32Array)];
  };

  it("opens images and labels in files of their own, as NumPy saves them", async () => {
    const path = folder({
      "x_train.npy": pixels(3),
      "y_train.npy": npy([2, 0, 1], [3, 1]),
      "x_test.npy": pixels(2),
      "y_test.npy.gz": gzip(npy([1, 0], [2])),
      "x_val.npy": pixels(1),
      "notes.txt": "",
    });
    expect(await labelsOf(path)).toEqual([2, 0, 1]);
    expect(await labelsOf(path, "test")).toEqual([1, 0]);
    expect(await labelsOf(join(path, "x_test.npy"))).toEqual([1, 0]);
    expect(await labelsOf(join(path, "x_test.npy"), "test")).toEqual([1, 0]);
    expect(await labelsOf(`${join(path, "x_train.npy")},${join(path, "y_train.npy")}`)).toEqual([2, 0, 1]);
    expect(await labelsOf(join(path, "x_val.npy")), "no file is named for its labels").toBe(undefined);
    expect(await failure(() => openDataset(join(path, "x_val.npy"), { split: "test" }))).toContain(
      "x_val.npy: a file of one array has no test part",
    );
    const bare = folder({ "images.npy": pixels(2), "labels.npy": npy([1, 0], [2]) });
    expect(await labelsOf(bare)).toEqual([1, 0]);
    expect(await failure(() => openDataset(bare, { split: "test" }))).toContain("no test images");
    const mixed = folder({ "images.npy": pixels(2), "l.npz": npzFile({ arr_0: [[1, 0], [2]] }) });
    expect(await labelsOf(`${join(mixed, "images.npy")},${join(mixed, "l.npz")}`)).toEqual([1, 0]);
  });

  it("opens files with a name before those of MNIST, one file of them with its labels, archives by part", async () => {
    const kmnist = folder({
      "kmnist-train-imgs.npz": npzFile({ arr_0: [Uint8Array.from(count(12)), [3, 2, 2]] }),
      "kmnist-train-labels.npz": npzFile({ arr_0: [[0, 2, 1], [3]] }),
      "kmnist-test-imgs.npz": npzFile({ arr_0: [Uint8Array.from(count(8)), [2, 2, 2]] }),
      "kmnist-test-labels.npz": npzFile({ arr_0: [[1, 1], [2]] }),
    });
    expect(await labelsOf(kmnist)).toEqual([0, 2, 1]);
    expect(await labelsOf(kmnist, "test")).toEqual([1, 1]);
    const emnist = folder(
      Object.fromEntries(
        ["letters", "digits"].flatMap((set, i) => [
          [`emnist-${set}-train-images-idx3-ubyte.gz`, gzip(images(2))],
          [`emnist-${set}-train-labels-idx1-ubyte.gz`, gzip(idxFile([2], [i, i + 1]))],
        ]),
      ),
    );
    expect(await failure(() => openDataset(emnist))).toBe(
      `E_FILE: ${emnist}: any of emnist-digits-train-images-idx3-ubyte.gz, emnist-letters-train-images-idx3-ubyte.gz may be the train images; say which, and their labels: "images,labels"`,
    );
    expect(await labelsOf(join(emnist, "emnist-letters-train-images-idx3-ubyte.gz"))).toEqual([0, 1]);
    const mnist = folder({
      "t10k-images-idx3-ubyte.gz": gzip(images(2)),
      "t10k-labels-idx1-ubyte": idxFile([2], [1, 0]),
    });
    expect(await labelsOf(join(mnist, "t10k-images-idx3-ubyte.gz"))).toEqual([1, 0]);
    const byPart = folder({
      "train.npz": npzFile({ x: [Uint8Array.from(count(12)), [3, 2, 2]], y: [[0, 2, 1], [3]] }),
      "test.npz": npzFile({ data: [Uint8Array.from(count(4)), [1, 2, 2]], target: [[1], [1]] }),
    });
    expect(await labelsOf(byPart)).toEqual([0, 2, 1]);
    expect(await labelsOf(byPart, "test")).toEqual([1]);
  });

  it("says of a file what is true of that file", async () => {
    const path = folder({
      "i.npy": pixels(2),
      "short.npy": npy([1], [1]),
      "text.txt": "0 1",
      "two.npz": npzFile({ a: [[1], [1]], b: [[1], [1]] }),
      "cut.npy": pixels(2).subarray(0, -3),
      "l.npy": npy([1.5, Number.NaN], [2]),
    });
    const of = (name: string) => join(path, name);
    const pair = (labels: string) => failure(() => openDataset(`${of("i.npy")},${of(labels)}`));
    expect(await pair("short.npy")).toBe(
      `E_DATA: ${of("i.npy")} with ${of("short.npy")}: 2 samples, but the array of labels has 1; they must belong together, one for one`,
    );
    expect(await pair("text.txt")).toBe(
      `E_FILE: ${of("text.txt")}: neither an IDX file (gzipped or not) nor an .npy or .npz file`,
    );
    expect(await pair("two.npz")).toBe(
      `E_DATA: ${of("two.npz")} holds 2 arrays ("a", "b"), expected one, of images or of labels; give the archive alone, or save them in files of their own`,
    );
    expect(await pair("none.npy")).toBe(`E_FILE: ${of("none.npy")}: no such file`);
    expect(await pair("cut.npy")).toMatch(new RegExp(`^E_FILE: ${of("cut.npy")} `));
    expect(await pair("l.npy")).toBe(
      `E_NOT_FINITE: ${of("l.npy")}: sample 1 has label NaN; drop or repair such samples before training`,
    );
    expect((await openDataset(of("i.npy"))).unlabelled).toBe(
      `${of("i.npy")} holds images alone, and no file beside it is named for their labels; give both: "images,labels"`,
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
