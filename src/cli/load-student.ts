// `--student`: an ONNX file, or a JavaScript module that makes one.
import { DistillError } from "../base/errors.ts";
import { modelBytes } from "../onnx/export-model.ts";
import type { Model } from "../onnx/model.ts";
import { readModel } from "../onnx/read-model.ts";
import { readModelFile } from "../onnx/read-model-file.ts";
import { defaultExport } from "./load-module.ts";

const moduleEnding = /\.[cm]?[jt]s$/;

/**
 * A module's default export is the bytes of an ONNX model, a Model, or a function from the seed to one of these (or to
 * a promise of one). Everything else is E_MODEL.
 */
export async function loadStudent(path: string, seed: number): Promise<Model> {
  if (!moduleEnding.test(path)) return readModelFile(path);
  const made = await defaultExport(path, "E_MODEL", seed);
  if (made instanceof Uint8Array) return readModel(made, { source: path });
  if (isModel(made)) {
    modelBytes(made);
    return made;
  }
  const found = made === undefined ? "nothing" : `a value of type ${typeof made}`;
  throw new DistillError(
    "E_MODEL",
    `${path}: its default export gives ${found}; export the bytes of an ONNX model, a Model, or a function (seed) => one of these`,
  );
}

function isModel(value: unknown): value is Model {
  return typeof value === "object" && value !== null && "graph" in value && "source" in value;
}
