// Test helper: models with functions and subgraphs, which writeGraph does not write, made message by message.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type FunctionProto,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { encodeTensor } from "../../src/onnx/tensor-proto.ts";

type AttributeValue = Tensor | GraphProto | number | bigint | { ref: string; type: AttributeType };

function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value });
  if (typeof value === "bigint")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: value });
  if ("ref" in value) return create(AttributeProtoSchema, { name, type: value.type, refAttrName: value.ref });
  if ("dtype" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: encodeTensor(value, "") });
  return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value });
}

/** "Op a b -> y" or "domain::Op:overload a b -> y, z"; "_" leaves an input out. */
export function line(
  text: string,
  attributes: Readonly<Record<string, AttributeValue>> = {},
  name = "",
): NodeProto {
  const [left = "", right = ""] = text.split("->");
  const [head = "", ...inputs] = left.trim().split(/\s+/);
  const [op = "", domain = ""] = head.split("::").reverse();
  const [opType = "", overload = ""] = op.split(":");
  return create(NodeProtoSchema, {
    opType,
    overload,
    domain,
    name,
    input: inputs.map((x) => (x === "_" ? "" : x)),
    output: right.split(",").map((y) => y.trim()),
    attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  });
}

export function graph(
  nodes: NodeProto[],
  outputs: string[],
  initializers: Readonly<Record<string, Tensor>> = {},
  /** Floats of any shape; or scalars of another type. */
  inputs: (string | { name: string; dtype: "int64" | "bool" })[] = [],
): GraphProto {
  const typed = (input: (typeof inputs)[number]) => {
    if (typeof input === "string")
      return { name: input, type: { value: { case: "tensorType" as const, value: { elemType: 1 } } } };
    const value = { elemType: input.dtype === "int64" ? 7 : 9, shape: { dim: [] } };
    return { name: input.name, type: { value: { case: "tensorType" as const, value } } };
  };
  return create(GraphProtoSchema, {
    name: "graph",
    node: nodes,
    output: outputs.map((name) => create(ValueInfoProtoSchema, { name })),
    initializer: Object.entries(initializers).map(([name, t]): TensorProto => encodeTensor(t, name)),
    input: inputs.map(typed),
  });
}

export function fn(
  name: string,
  inputs: string[],
  outputs: string[],
  node: NodeProto[],
  options: {
    attributes?: string[];
    defaults?: Record<string, AttributeValue>;
    opset?: number;
    overload?: string;
  } = {},
): FunctionProto {
  return create(FunctionProtoSchema, {
    name,
    domain: "local",
    overload: options.overload ?? "",
    input: inputs,
    output: outputs,
    node,
    attribute: options.attributes ?? [],
    attributeProto: Object.entries(options.defaults ?? {}).map(([key, value]) => attribute(key, value)),
    opsetImport: [
      { domain: "", version: BigInt(options.opset ?? 18) },
      { domain: "local", version: 1n },
    ],
  });
}

/** Bytes of a model of opset 18 with input x [n, 3]. */
export function modelOf(main: GraphProto, functions: FunctionProto[] = [], irVersion = 10n): Uint8Array {
  const dim = [
    { value: { case: "dimParam" as const, value: "n" } },
    { value: { case: "dimValue" as const, value: 3n } },
  ];
  const x = create(ValueInfoProtoSchema, {
    name: "x",
    type: { value: { case: "tensorType", value: { elemType: 1, shape: { dim } } } },
  });
  main.input = [x, ...main.input];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion,
      opsetImport: [
        { domain: "", version: 18n },
        { domain: "local", version: 1n },
      ],
      graph: main,
      functions,
    }),
  );
}

export const vector = (...values: number[]): Tensor => tensor("float32", values);
export const bool = (value: boolean): Tensor => tensor("bool", [Number(value)], []);
