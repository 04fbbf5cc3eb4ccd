// LSTM, GRU and RNN in every form: directions, initial states, peepholes, shorter sequences, batches first, activations.
import { describe, expect, it } from "vitest";
import { sizeOf, tensor, toNumbers } from "../../src/base/tensor.ts";
import { float, floats, int, string, strings, type Value } from "../../src/graph/graph.ts";
import { newBuilder } from "../../src/ops/index.ts";
import { recurrentOps } from "../../src/ops/recurrent.ts";
import { targets } from "../../src/ops/target.ts";
import { expectClose, testRandom } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";
import { emit, emitAll } from "./emit.ts";
import { data, type NodeCase, node, testNodes } from "./node-cases.ts";

const [T, B, I, H] = [3, 2, 2, 2];
const x = [T, B, I];
const lengths = tensor("int32", [2, 3]);
/** One sequence is empty: to ONNX Runtime its last state is 0. */
const someEmpty = tensor("int32", [0, T]);
const direction = (name: string) => ({ direction: string(name) });
const hidden = { hidden_size: int(H) };
const both = { ...hidden, ...direction("bidirectional") };

/** Weights of `d` directions for cells of `gates` gates: W, R and the biases. */
const weights = (gates: number, d = 1): number[][] => [
  [d, gates * H, I],
  [d, gates * H, H],
  [d, 2 * gates * H],
];
const state = (d = 1): number[] => [d, B, H];
const lstm = (inputs: NodeCase["inputs"], attributes = {}, outputs = 3, opset = 14): NodeCase =>
  node("LSTM", [x, ...inputs], { ...hidden, ...attributes }, { outputs, opset });
const gru = (inputs: NodeCase["inputs"], attributes = {}, outputs = 2, opset = 14): NodeCase =>
  node("GRU", [x, ...inputs], { ...hidden, ...attributes }, { outputs, opset });
const rnn = (inputs: NodeCase["inputs"], attributes = {}, outputs = 2, opset = 14): NodeCase =>
  node("RNN", [x, ...inputs], { ...hidden, ...attributes }, { outputs, opset });
const [, , lstmBias] = weights(4);

testNodes(recurrentOps, [
  lstm(weights(4)),
  lstm(weights(4).slice(0, 2), {}, 1, 7),
  lstm([...weights(4), undefined, state(), state()], direction("reverse")),
  lstm([...weights(4, 2), undefined, state(2), state(2)], both, 3, 22),
  lstm([...weights(4), undefined, state(), state(), [1, 3 * H]]),
  lstm([...weights(4, 2), undefined, undefined, undefined, [2, 3 * H]], both),
  lstm([...weights(4, 2), data(lengths), state(2), state(2)], both),
  lstm([...weights(4), data(someEmpty), state(), state()]),
  lstm([...weights(4), someEmpty, state(), state()], { ...direction("reverse"), clip: float(0.4) }),
  lstm([...weights(4), lengths], direction("reverse")),
  lstm([...weights(4), tensor("int32", [T, T])]),
  lstm(weights(4), { input_forget: int(1) }),
  lstm(weights(4), { clip: float(0.4) }),
  lstm(weights(4), {
    activations: strings(["HardSigmoid", "Softsign", "ScaledTanh"]),
    activation_alpha: floats([0.3, 0.7]),
    activation_beta: floats([0.4, 1.3]),
  }),
  node(
    "LSTM",
    [[B, T, I], ...weights(4, 2), undefined, [B, 2, H], [B, 2, H]],
    { ...both, layout: int(1) },
    {
      outputs: 3,
      opset: 14,
      notRun: "ONNX Runtime's CPU kernel has no layout 1",
    },
  ),
  gru(weights(3)),
  gru(weights(3), { linear_before_reset: int(1) }),
  gru([...weights(3), undefined, state()], { linear_before_reset: int(1), ...direction("reverse") }),
  gru([...weights(3, 2), data(lengths), state(2)], both),
  gru([...weights(3), data(someEmpty), state()]),
  gru([...weights(3, 2), lengths], { ...both, linear_before_reset: int(1) }, 2, 22),
  gru(weights(3).slice(0, 2), { linear_before_reset: int(1) }, 1, 7),
  gru(weights(3), { activations: strings(["Sigmoid", "LeakyRelu"]), activation_alpha: floats([0.2]) }),
  rnn(weights(1)),
  rnn([...weights(1, 2), undefined, state(2)], both),
  rnn([...weights(1), data(someEmpty), state()]),
  rnn(weights(1), { activations: strings(["Affine"]) }),
  rnn([...weights(1), data(lengths)], {
    activations: strings(["Affine"]),
    activation_alpha: floats([0.5]),
    activation_beta: floats([0.1]),
  }),
  rnn(weights(1).slice(0, 2), { activations: strings(["Elu"]) }, 1, 7),
  node("ReverseSequence", [[4, 3, 2], tensor("int64", [1, 4, 2])]),
  node(
    "ReverseSequence",
    [[2, 3, 2], data(tensor("int64", [3, 2]))],
    { time_axis: int(1), batch_axis: int(0) },
    { opset: 10 },
  ),
]);

describe("batches first", () => {
  it("are steps first, transposed", () => {
    const b = newBuilder("layout", targets.standard);
    const value = (name: string, dims: readonly number[]) =>
      b.graph.addInput(name, { dtype: "float32", dims });
    const [w, r, bias] = weights(4, 2).map((dims, i) => value(`w${i}`, dims)) as [Value, Value, Value];
    const [v, h] = [value("x", [B, T, I]), value("h", [B, 2, H])];
    const turn = (t: Value, perm: number[]) => b.transpose(t, perm);
    const first = emitAll(
      b,
      "LSTM",
      [v, w, r, bias, undefined, h],
      { ...both, layout: int(1) },
      { outputs: 3 },
    );
    const initial = turn(h, [1, 0, 2]);
    const second = emitAll(b, "LSTM", [turn(v, [1, 0, 2]), w, r, bias, undefined, initial], both, {
      outputs: 3,
    });
    const wanted = [turn(second[0]!, [2, 0, 1, 3]), turn(second[1]!, [1, 0, 2]), turn(second[2]!, [1, 0, 2])];
    const random = testRandom(3);
    const feeds = Object.fromEntries(
      b.graph.inputs.map((i) => {
        const { dims } = i.type!;
        return [i.name, tensor("float32", Array.from({ length: sizeOf(dims) }, random), dims)];
      }),
    );
    const values = evaluate(b.graph, feeds);
    for (const [i, y] of first.entries()) {
      expect(y.type).toEqual(wanted[i]!.type);
      expectClose(toNumbers(values.get(y)!), toNumbers(values.get(wanted[i]!)!), 1e-12, `output ${i}`);
    }
  });
});

describe("refusals", () => {
  const start = (attributes: Parameters<typeof emit>[3], rows = 8) => {
    const b = newBuilder("refusal", targets.cpu);
    const value = (name: string, dims: readonly number[]) =>
      b.graph.addInput(name, { dtype: "float32", dims });
    return () =>
      emit(b, "LSTM", [value("x", x), value("w", [1, rows, I]), value("r", [1, rows, H])], attributes);
  };
  it("says what it found", () => {
    expect(start({ activations: strings(["Sigmoid", "Tahn", "Tanh"]) })).toThrow(
      'LSTM at node "node": activation "Tahn" is not known. Did you mean "tanh"?',
    );
    expect(start({ activations: strings(["Sigmoid", "Tanh"]) })).toThrow(
      'LSTM at node "node": 2 activations; 1 direction of 3 each want 3',
    );
    expect(start(direction("sideways"))).toThrow('LSTM at node "node": direction "sideways" is not known');
    expect(start({}, 6)).toThrow(
      'LSTM at node "node": weights [1,6,2] do not fit [1,6,2]; they want 4·2 rows',
    );
  });
  it("unrolls with a node per step and no more than it needs", () => {
    const b = newBuilder("size", targets.cpu);
    const value = (name: string, dims: readonly number[]) =>
      b.graph.addInput(name, { dtype: "float32", dims });
    const inputs = [
      value("x", [20, B, I]),
      value("w", [1, 8, I]),
      value("r", [1, 8, H]),
      value("b", lstmBias!),
    ];
    b.graph.addOutput(emit(b, "LSTM", inputs));
    b.graph.prune();
    expect(b.graph.nodes.filter((n) => n.op === "Gemm")).toHaveLength(21);
    expect(b.graph.nodes.length).toBeLessThan(20 * 11 + 20);
  });
});
