import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { fixturePath } from "../fixtures/models.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onnx-distill-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("looks for external data beside the model, not in the current folder", async () => {
  const path = join(folder, "m.onnx");
  await copyFile(fixturePath("encodings.onnx"), path);
  await expect(readModelFile(path)).rejects.toMatchObject({
    code: "E_FILE",
    message: `${path}: the external file "encodings.bin": no such file`,
  });
  await copyFile(fixturePath("encodings.bin"), join(folder, "encodings.bin"));
  expect((await readModelFile(path)).externalFiles).toHaveLength(1);
});

it("says what is wrong with a path", async () => {
  const missing = join(folder, "none.onnx");
  await expect(readModelFile(missing)).rejects.toMatchObject({
    code: "E_FILE",
    message: `${missing}: no such file`,
  });
  await expect(readModelFile(folder)).rejects.toMatchObject({ message: `${folder}: not a file` });
});
