// Writes models of any size without holding them: its weights are nearly the same random numbers.
import { closeSync, openSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";

import { testRandom } from "../gradient-checker.ts";

/**
 * "x" [N, width] through `layers` of MatMul and Relu to "relu0", "relu1", …, each with a weight of width² floats (4 MiB); the
 * weights in the model's own file, or in `<name>.data` beside it.
 */
export function writeLargeModel(
  path: string,
  layers: number,
  where: "embedded" | "external",
  width = 1024,
): void {
  const each = width * width * 4;
  const nodes = Array.from({ length: layers }, (_, i) => [
    create(NodeProtoSchema, {
      opType: "MatMul",
      input: [i === 0 ? "x" : `relu${i - 1}`, `w${i}`],
      output: [`product${i}`],
    }),
    create(NodeProtoSchema, { opType: "Relu", input: [`product${i}`], output: [`relu${i}`] }),
  ]).flat();
  const info = (name: string) =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: "tensorType",
          value: create(TypeProto_TensorSchema, {
            elemType: 1,
            shape: create(TensorShapeProtoSchema, {
              dim: [
                create(TensorShapeProto_DimensionSchema, { value: { case: "dimParam", value: "N" } }),
                create(TensorShapeProto_DimensionSchema, {
                  value: { case: "dimValue", value: BigInt(width) },
                }),
              ],
            }),
          }),
        },
      }),
    });
  const tensorOf = (i: number) =>
    create(TensorProtoSchema, { name: `w${i}`, dataType: 1, dims: [BigInt(width), BigInt(width)] });
  const graph = create(GraphProtoSchema, {
    name: "large",
    node: nodes,
    input: [info("x")],
    output: [info(`relu${layers - 1}`)],
  });
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: 17n })],
  });
  const file = openSync(path, "w");
  try {
    if (where === "external") {
      const location = `${basename(path)}.data`;
      graph.initializer = Array.from({ length: layers }, (_, i) => {
        const t = tensorOf(i);
        t.dataLocation = TensorProto_DataLocation.EXTERNAL;
        const entries = { location, offset: String(i * each), length: String(each) };
        t.externalData = Object.entries(entries).map(([key, value]) =>
          create(StringStringEntryProtoSchema, { key, value }),
        );
        return t;
      });
      model.graph = graph;
      writeSync(file, toBinary(ModelProtoSchema, model));
      const data = openSync(join(dirname(path), location), "w");
      for (let i = 0; i < layers; i++) writeSync(data, weight(i, width));
      closeSync(data);
      return;
    }
    // Fields may come in any order: initialisers first, then the rest of the graph.
    const head = toBinary(ModelProtoSchema, model);
    const rest = toBinary(GraphProtoSchema, graph);
    const tensors = Array.from({ length: layers }, (_, i) => {
      const fields = toBinary(TensorProtoSchema, tensorOf(i));
      const raw = [...tag(9), ...varint(each)];
      return [...tag(5), ...varint(fields.length + raw.length + each), ...fields, ...raw];
    });
    const size = tensors.reduce((n, t) => n + t.length + each, rest.length);
    writeSync(file, Uint8Array.from([...head, ...tag(7), ...varint(size)]));
    tensors.forEach((t, i) => {
      writeSync(file, Uint8Array.from(t));
      writeSync(file, weight(i, width));
    });
    writeSync(file, rest);
  } finally {
    closeSync(file);
  }
}

let made = new Float32Array();

/** Uniform in ±√(6/width), so that neither signal nor noise dies out; all differ, for equal ones are shared in memory. */
function weight(i: number, width: number): Uint8Array {
  if (made.length !== width * width) {
    const random = testRandom(1);
    const limit = Math.sqrt(6 / width);
    made = Float32Array.from({ length: width * width }, () => limit * (2 * random() - 1));
  }
  made[0] = i / 1000;
  return new Uint8Array(made.buffer as ArrayBuffer);
}

/** The tag of a length-delimited field. */
const tag = (field: number): number[] => varint(field * 8 + 2);

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}
