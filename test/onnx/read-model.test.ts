import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, TensorProto_DataType } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { DistillError } from "../../src/base/errors.ts";
import { isFloat, type Tensor, tensor, toNumbers } from "../../src/base/tensor.ts";
import { float, Graph, int, ints, string } from "../../src/graph/graph.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { readModelFile } from "../../src/onnx/read-model-file.ts";
import { writeGraph } from "../../src/onnx/write-graph.ts";
import { fixtureBytes, fixturePath, torchFacts } from "../fixtures/models.ts";

function errorOf(f: () => unknown): DistillError {
  try {
    f();
  } catch (error) {
    expect(error).toBeInstanceOf(DistillError);
    const found = error as DistillError;
    expect(found.message).not.toContain("\n");
    return found;
  }
  throw new Error("no error was thrown");
}

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

/** A protobuf field of bytes with a number below 16, for files that no exporter writes. */
const field = (no: number, body: Uint8Array): Uint8Array =>
  new Uint8Array([no * 8 + 2, body.length, ...body]);
const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

/** y = relu(x · scale), x [2, 3]. */
function scaleGraph(opset = 13): Graph {
  const graph = new Graph("scale", [["", opset]]);
  const x = graph.addInput("x", { dtype: "float32", dims: [2, 3] });
  const scale = graph.addConstant("scale", tensor("float32", [1, -2, 3]));
  const m = graph.addNode({ op: "Mul", inputs: [x, scale], outputs: ["m"] }).outputs[0];
  const y = graph.addNode({ op: "Relu", name: "act", inputs: [m], outputs: ["y"] }).outputs[0];
  graph.addOutput(y!);
  return graph;
}

describe("readModel", () => {
  it.each(["torchscript", "dynamo"])("reads PyTorch's %s export: structure and weights", (exporter) => {
    for (const net of ["cnn", "mlp"] as const) {
      const model = readModel(fixtureBytes(`${net}-${exporter}.onnx`), { source: net });
      const { input, logits, weights } = torchFacts(net);
      expect(model.inputs).toEqual([
        { name: "input", dtype: "float32", dims: ["batch", ...input.dims.slice(1)] },
      ]);
      expect(model.outputs.map((o) => [o.name, o.dims.at(-1)])).toEqual([["logits", logits.dims.at(-1)]]);
      expect(model.graph.inputs.map((v) => v.type)).toEqual([undefined]);
      expect(model.graph.outputs.map((v) => v.name)).toEqual(["logits"]);
      for (const [name, weight] of weights) {
        const value = model.graph.find(name);
        expect(value, name).toBeDefined();
        expect(model.graph.constants.get(value!)).toEqual(weight);
      }
      expect(model.graph.nodes.every((n) => n.name !== "" && n.op !== "Constant")).toBe(true);
    }
  });

  it("reads every element type in every encoding", async () => {
    const { graph, externalFiles } = await readModelFile(fixturePath("encodings.onnx"));
    expect(externalFiles.map((f) => [f.path, f.data.length])).toEqual([["encodings.bin", 283]]);
    const of = (name: string): Tensor => graph.constants.get(graph.find(name)!)!;
    const signed = [0, -1, -2, -3, -4, -5];
    const halfBits = [0x8000, 0xbc00, 0xc000, 0xc200, 0xc400, 0xc500];
    for (const dtype of ["float32", "float64", "float16", "int8", "int16", "int32", "int64"] as const)
      for (const kind of ["raw", "typed", "external", "constant"]) {
        const t = of(`${dtype}_${kind}`);
        expect([t.dtype, t.dims], `${dtype}_${kind}`).toEqual([dtype, [2, 3]]);
        expect(
          toNumbers(t).map((v) => v + 0),
          `${dtype}_${kind}`,
        ).toEqual(dtype === "float16" ? halfBits : signed);
        expect(t.data.length).toBe(6);
      }
    for (const dtype of ["uint8", "uint16", "uint32", "uint64"] as const)
      for (const kind of ["raw", "typed", "external", "constant"])
        expect(toNumbers(of(`${dtype}_${kind}`)), `${dtype}_${kind}`).toEqual([0, 1, 2, 3, 4, 5]);
    for (const kind of ["raw", "typed", "external", "constant"])
      expect(toNumbers(of(`bool_${kind}`)), kind).toEqual([0, 1, 0, 1, 0, 1]);
    expect(of("value_float")).toEqual(tensor("float32", [1.5], []));
    expect(of("value_floats")).toEqual(tensor("float32", [1.5, -2]));
    expect(of("value_int")).toEqual(tensor("int64", [-7], []));
    expect(of("value_ints")).toEqual(tensor("int64", [7, -1]));
    expect(of("strings").data).toEqual(["one", "zwölf"]);
    expect(of("int4")).toEqual(tensor("int4", [1, -2, 3]));
  });

  it("leaves a type that we don't hold a node, which nothing takes for a weight", () => {
    const proto = fromBinary(ModelProtoSchema, fixtureBytes("encodings.onnx"));
    const held = proto.graph!.initializer.find((t) => t.name === "int4")!;
    held.dataType = TensorProto_DataType.FLOAT4E2M1;
    const { graph } = readModel(toBinary(ModelProtoSchema, proto), {
      external: () => fixtureBytes("encodings.bin"),
    });
    expect(graph.find("int4")?.producer?.op).toBe("Constant");
  });

  it("decodes weights apart from the file's bytes, so that training can't change the model", () => {
    const bytes = fixtureBytes("cnn-torchscript.onnx");
    const before = bytes.slice();
    const { graph } = readModel(bytes);
    for (const t of graph.constants.values()) if (isFloat(t.dtype)) (t.data as Float32Array).fill(9);
    expect(bytes).toEqual(before);
  });

  it("keeps symbolic dimensions and subgraphs, writes functions out, and drops inputs that are initialisers", () => {
    const shapes = readModel(fixtureBytes("shapes.onnx"));
    expect(shapes.inputs).toEqual([{ name: "x", dtype: "float32", dims: ["n", 4] }]);
    expect([...shapes.graph.opsets]).toEqual([
      ["", 17],
      ["local", 1],
    ]);
    const choose = shapes.graph.find("z")?.producer;
    expect(choose?.attributes.then_branch?.kind).toBe("opaque");
    expect(shapes.graph.find("doubled")?.producer).toMatchObject({ domain: "", op: "Add" });
    expect(shapes.graph.find("target")?.producer?.name).toBe("Concat_4");
    const old = readModel(fixtureBytes("opset-7.onnx"));
    expect(old.inputs.map((i) => i.name)).toEqual(["x"]);
    expect(old.graph.inputs.map((v) => v.name)).toEqual(["x"]);
    expect(readModel(fixtureBytes("opset-26.onnx")).graph.opsets.get("")).toBe(26);
  });

  it("reads back what writeGraph wrote, attributes and types included", () => {
    const graph = new Graph("all", [["", 13]]);
    const x = graph.addInput("x", { dtype: "float32", dims: [1, 3] });
    const node = graph.addNode({
      op: "Made",
      domain: "com.microsoft",
      name: "made",
      inputs: [x, undefined, x, undefined],
      outputs: ["a", "", "b"],
      attributes: {
        i: int(-3),
        big: int(2 ** 63),
        f: float(0.5),
        is: ints([1, 2]),
        s: string("né"),
        t: { kind: "tensor", value: tensor("int64", [4, 5]) },
        fs: { kind: "floats", value: [0.25] },
        ss: { kind: "strings", value: ["a", "b"] },
      },
    });
    graph.addOutput(node.outputs[2]!);
    const { graph: read } = readModel(writeGraph(graph));
    const again = read.nodes[0]!;
    expect([...read.opsets]).toEqual([
      ["", 13],
      ["com.microsoft", 1],
    ]);
    expect(again.inputs.map((v) => v?.name)).toEqual(["x", undefined, "x"]);
    expect(again.outputs.map((v) => v?.name)).toEqual(["a", undefined, "b"]);
    expect(again.attributes).toEqual(node.attributes);
    expect(read.inputs[0]?.type).toEqual({ dtype: "float32", dims: [1, 3] });
    const next = readModel(writeGraph(scaleGraph(7))).graph;
    expect(next.nodes.map((n) => n.name)).toEqual(["Mul_0", "act"]);
    expect(next.constants.get(next.find("scale")!)).toEqual(tensor("float32", [1, -2, 3]));
  });

  it("puts nodes in order, where a tool wrote them otherwise", () => {
    const graph = scaleGraph();
    graph.nodes.reverse();
    expect(readModel(writeGraph(graph)).graph.nodes.map((n) => n.op)).toEqual(["Mul", "Relu"]);
  });
});

describe("a file that is no whole model", () => {
  it.each(["shapes.onnx", "mlp-dynamo.onnx", "opset-7.onnx"])("cut at any byte: %s", (name) => {
    const bytes = fixtureBytes(name);
    const whole = readModel(bytes).graph;
    const readable: number[] = [];
    for (let length = 0; length < bytes.length; length++) {
      try {
        const model = readModel(bytes.subarray(0, length), { source: "cut.onnx" });
        readable.push(length);
        // Only what follows the opsets (metadata, functions) may be missing from what could still be read.
        expect(model.graph.nodes.length).toBe(whole.nodes.length);
        expect(model.graph.constants.size).toBe(whole.constants.size);
        expect([...model.graph.opsets]).toEqual([...whole.opsets]);
      } catch (error) {
        expect(error).toBeInstanceOf(DistillError);
        expect((error as DistillError).message).toMatch(/^cut\.onnx: [^\n]+$/);
        expect(["E_FILE", "E_MODEL"]).toContain((error as DistillError).code);
      }
    }
    expect(readable.length).toBe({ "shapes.onnx": 3 }[name] ?? 0);
  });

  it.each([
    ["", "E_FILE", "m.onnx: the file is empty"],
    ["hello, I am a text file", "E_FILE", "m.onnx: not an ONNX model but a text file"],
    [
      "version https://git-lfs.github.com/spec/v1\noid sha256:00",
      "E_FILE",
      "m.onnx: not an ONNX model but a Git LFS pointer to one; fetch the file itself with git lfs pull",
    ],
    [
      "PK\x03\x04 and so on",
      "E_FILE",
      "m.onnx: not an ONNX model but a ZIP archive (a PyTorch checkpoint or .npz?); export it to ONNX first",
    ],
  ])("%j", (content, code, message) => {
    const error = errorOf(() => readModel(text(content), { source: "m.onnx" }));
    expect([error.code, error.message]).toEqual([code, message]);
  });

  it("a PNG, and a message without a graph", () => {
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13]);
    expect(errorOf(() => readModel(png)).message).toBe("model: not an ONNX model but a PNG image");
    expect(errorOf(() => readModel(new Uint8Array([8, 8]))).message).toBe(
      "model: holds no graph, so it is cut short or not an ONNX model",
    );
  });

  it("opsets that are too old, unknown or missing", () => {
    const at = (opset: number) => () => readModel(writeGraph(scaleGraph(opset)), { source: "m.onnx" });
    expect(errorOf(at(6)).message).toBe(
      "m.onnx: opset 6 is older than 7; convert the model with onnx.version_converter, or export it again",
    );
    expect(errorOf(at(99)).message).toBe(
      "m.onnx: opset 99 is not known (the newest is 28); export the model with an older one",
    );
    const graph = new Graph("none", []);
    graph.addOutput(graph.addInput("x", { dtype: "float32", dims: [1] }));
    expect(errorOf(() => readModel(writeGraph(graph))).message).toBe(
      "model: declares no ai.onnx opset, so the file is cut short or damaged",
    );
  });

  it("a graph that contradicts itself", () => {
    const opset = field(8, new Uint8Array([0x10, 13]));
    const relu = (from: string, to: string) =>
      field(1, joined(field(1, text(from)), field(2, text(to)), field(4, text("Relu"))));
    const output = (name: string) => field(12, field(1, text(name)));
    const read = (...parts: Uint8Array[]) =>
      errorOf(() => readModel(joined(field(7, joined(...parts)), opset), { source: "m.onnx" })).message;
    expect(read(relu("x", "y"), output("y"))).toBe(
      'm.onnx: nothing defines "x", which node Relu "Relu_0" takes',
    );
    expect(read(relu("y", "x"), relu("x", "y"), output("y"))).toMatch(
      /^m\.onnx: the nodes form a circle at Relu/,
    );
    expect(read(output("y"))).toBe('m.onnx: nothing defines the output "y"');
    expect(read(field(2, text("g")))).toBe(
      "m.onnx: the graph has no outputs, so the file is cut short or damaged",
    );
    // An initialiser of shape [3] with 8 bytes of float32: dims, data type, name, raw data.
    const t = joined(new Uint8Array([8, 3, 16, 1]), field(8, text("w")), field(9, new Uint8Array(8)));
    expect(read(field(5, t), relu("w", "y"), output("y"))).toBe(
      'm.onnx: initialiser "w": float32 of shape [3] needs 12 bytes, found 8; the file is damaged',
    );
  });
});

describe("external data", () => {
  const bytes = fixtureBytes("encodings.onnx");
  const file = fixtureBytes("encodings.bin");

  it("is asked for once per file, and must be whole", () => {
    let asked = 0;
    const external = (location: string) => {
      expect(location).toBe("encodings.bin");
      asked++;
      return file;
    };
    readModel(bytes, { external });
    expect(asked).toBe(1);
    expect(
      errorOf(() => readModel(bytes, { source: "m.onnx", external: () => file.subarray(0, 282) })).message,
    ).toBe(
      'm.onnx: initialiser "bool_external": needs bytes 277 to 283 of the external file "encodings.bin", which has 282; it is cut short or belongs to another model',
    );
    expect(errorOf(() => readModel(bytes, { source: "m.onnx" })).message).toBe(
      'm.onnx: initialiser "float32_external": its data lies in the external file "encodings.bin"; read the model from its path, or give the file\'s bytes by the option "external"',
    );
  });

  /** A model that gives out one float32 vector from an external file. */
  const vector = (location: string, length = 1): Uint8Array => {
    const entry = (key: string, value: string) =>
      field(13, joined(field(1, text(key)), field(2, text(value))));
    const t = joined(
      field(1, new Uint8Array([length])), // dims, packed
      new Uint8Array([16, 1]),
      field(8, text("w")),
      entry("location", location),
      new Uint8Array([14 * 8, 1]),
    );
    return joined(
      field(7, joined(field(5, t), field(12, field(1, text("w"))))),
      field(8, new Uint8Array([16, 13])),
    );
  };

  it.each(["/etc/hostname", "../w.bin", "a/../../w.bin", "C:\\w.bin", "..\\w.bin"])(
    "never leaves the folder: %s",
    (location) => {
      const external = () => new Uint8Array(4);
      expect(errorOf(() => readModel(vector(location), { source: "m.onnx", external })).message).toBe(
        `m.onnx: initialiser "w": the external file ${JSON.stringify(location)} lies outside the model's folder and is not read; put it beside the model and write its bare name into the model`,
      );
    },
  );

  it("may lie in a folder below, and is decoded without an offset and a length", () => {
    const external = () => new Uint8Array([0, 0, 128, 63, 0, 0, 0, 64, 9]);
    const { graph } = readModel(vector("sub/..w.bin", 2), { external });
    expect(graph.constants.get(graph.find("w")!)).toEqual(tensor("float32", [1, 2]));
  });
});
