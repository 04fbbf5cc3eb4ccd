// The reverse walk itself: accumulation, un-broadcasting, regions, and the three answers that are not gradients.
import { describe, expect, it } from "vitest";
import { differentiate, freezePattern, vectorJacobianProduct } from "../../src/autodiff/differentiate.ts";
import { type Tensor, tensor } from "../../src/base/tensor.ts";
import { Graph, typeOf, type Value } from "../../src/graph/graph.ts";
import { Builder, type OpTable } from "../../src/ops/builder.ts";
import {
  defineOp,
  notDifferentiable,
  type OpDefinition,
  oneNode,
  type Primitive,
  zero,
} from "../../src/ops/define.ts";
import { newBuilder, opTable } from "../../src/ops/index.ts";
import { targets } from "../../src/ops/target.ts";
import { checkSample, type Sample } from "../gradient-checker.ts";
import { evaluate } from "../reference/index.ts";

const input = (b: Builder, name: string, dims: readonly number[]): Value =>
  b.graph.addInput(name, { dtype: "float64", dims });

const numbers = (b: Builder, v: Value, feeds: Record<string, Tensor>): number[] =>
  Array.from(evaluate(b.graph, feeds).get(v)!.data as Float64Array);

/** A builder whose table has one more op, "Test": shaped like its first input, with this gradient rule. */
function withOp(grad: Primitive["grad"]): Builder {
  const op = defineOp({ op: "Test", versions: [1], emit: oneNode, infer: (c) => [c.type(0)], grad });
  const table: OpTable = new Map<string, OpDefinition>([...opTable, ["Test", op]]);
  return new Builder(new Graph("test", [["", 21]]), targets.cpu, table);
}

describe("un-broadcasting", () => {
  const shapes: [number[], number[]][] = [
    [[2, 3, 4], [4]],
    [[2, 3, 4], []],
    [
      [2, 3, 4],
      [3, 1],
    ],
    [
      [2, 1, 4],
      [3, 1],
    ],
    [
      [1, 3],
      [2, 1],
    ],
    [[1], [2, 3]],
    [
      [3, 1, 1],
      [2, 3, 1, 4],
    ],
  ];
  const samples = shapes.map(
    ([left, right]): Sample => ({
      name: `[${left}] · [${right}]`,
      inputs: [{ dims: left }, { dims: right }],
      build: (b, x, y) => b.mul(b.sub(x!, y!), y!),
    }),
  );
  it.each(samples.map((s) => [s.name, s] as const))("%s", async (_, s) => {
    await checkSample(s, 1);
  });
});

describe("accumulation", () => {
  it("adds what comes back by every path, and from a value used twice by one node", async () => {
    await checkSample(
      {
        name: "x² + x·sin-like paths",
        inputs: [{ dims: [3] }],
        build: (b, x) => b.add(b.mul(x!, x!), b.add(b.tanh(x!), b.mul(b.exp(x!), b.tanh(x!)))),
      },
      1,
    );
  });

  it("asks each node for its gradient once, however many paths lead through it", () => {
    let asked = 0;
    const b = withOp((c) => {
      asked++;
      return [() => c.dy(0)];
    });
    const x = input(b, "x", [4]);
    const shared = b.node("Test", [x]);
    const loss = b.reduceSum(b.add(b.mul(shared, b.exp(shared)), b.sigmoid(shared)));
    differentiate(b, loss, [x]);
    expect(asked).toBe(1);
  });

  it("a deep chain does not overflow the stack", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", []);
    let y = x;
    for (let i = 0; i < 20_000; i++) y = b.neg(y);
    expect(differentiate(b, y, [x]).get(x)).toBeDefined();
  });

  it("several outputs are seeded at once: Σ (∂y/∂x)ᵀ·seed", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", [2]);
    const [y, z] = [b.square(x), b.scale(x, 3)];
    const [seedY, seedZ] = [input(b, "seedY", [2]), input(b, "seedZ", [2])];
    const gradient = vectorJacobianProduct(
      b,
      [
        [y, seedY],
        [z, seedZ],
      ],
      [x],
    ).get(x)!;
    const feeds = {
      x: tensor("float64", [1, 2], [2]),
      seedY: tensor("float64", [10, 20], [2]),
      seedZ: tensor("float64", [1, 2], [2]),
    };
    expect(numbers(b, gradient, feeds)).toEqual([2 * 10 + 3, 4 * 20 + 6]);
  });

  it("a seed on a parameter itself is its gradient", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", []);
    expect(numbers(b, differentiate(b, x, [x]).get(x)!, { x: tensor("float64", [7], []) })).toEqual([1]);
  });
});

describe("what is left out", () => {
  it("nothing is emitted for what nobody asked for", () => {
    const b = newBuilder("test", targets.cpu);
    const [x, w] = [input(b, "x", [2, 3]), input(b, "w", [3, 4])];
    const loss = b.reduceSum(b.matmul(x, w));
    const before = b.graph.nodes.length;
    const gradients = differentiate(b, loss, [w]);
    expect([...gradients.keys()]).toEqual([w]);
    // No dx = dy·wᵀ: every new node that reads w would be one.
    expect(b.graph.nodes.slice(before).filter((n) => n.inputs.includes(w))).toEqual([]);
  });

  it("a parameter that the loss does not depend on has no gradient at all", () => {
    const b = newBuilder("test", targets.cpu);
    const [x, y] = [input(b, "x", [2]), input(b, "y", [2])];
    const gradients = differentiate(b, b.reduceSum(x), [x, y]);
    expect(gradients.get(x)).toBeDefined();
    expect(gradients.has(y)).toBe(true);
    expect(gradients.get(y)).toBeUndefined();
  });

  it("a loss behind the parameter's own value: nothing before it is walked", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", [2]);
    const middle = b.exp(x);
    const gradients = differentiate(b, b.reduceSum(b.square(middle)), [middle]);
    expect(gradients.get(middle)).toBeDefined();
    expect(b.graph.nodes.filter((n) => n.op === "Exp")).toHaveLength(1);
  });
});

describe("regions", () => {
  it("give their own gradient instead of that of the nodes between", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", [2]);
    const y = b.square(x);
    b.region({ inputs: [x], outputs: [y], grad: (dy) => [() => b.scale(dy(0), 100)] });
    const gradient = differentiate(b, b.reduceSum(y), [x]).get(x)!;
    expect(numbers(b, gradient, { x: tensor("float64", [1, 2], [2]) })).toEqual([100, 100]);
  });

  it("stopGradient: nothing flows back through it, but beside it", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", [2]);
    const gradient = differentiate(b, b.reduceSum(b.mul(b.stopGradient(x), x)), [x]).get(x)!;
    expect(numbers(b, gradient, { x: tensor("float64", [3, 5], [2]) })).toEqual([3, 5]);
    const c = newBuilder("test", targets.cpu);
    const y = input(c, "y", [2]);
    expect(differentiate(c, c.reduceSum(c.stopGradient(y)), [y]).get(y)).toBeUndefined();
  });
});

describe("zero, not differentiable and missing are three different things", () => {
  it("zero: the walk ends there without a word", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", [2]);
    const rounded = b.node("Round", [x]);
    expect(differentiate(b, b.reduceSum(rounded), [x]).get(x)).toBeUndefined();
    const both = differentiate(b, b.reduceSum(b.add(b.node("Round", [x]), x)), [x]).get(x)!;
    expect(numbers(b, both, { x: tensor("float64", [1.4, 2.6], [2]) })).toEqual([1, 1]);
  });

  it.each([
    ["not differentiable", notDifferentiable],
    ["no entry for this input", () => []],
    ["not differentiable in this input", () => [notDifferentiable]],
  ] as [string, Primitive["grad"]][])("%s: an error that names node, parameter and remedy", (_, grad) => {
    const b = withOp(grad);
    const weight = input(b, "layer1.weight", [2]);
    const y = b.scope("/block/test", () => b.node("Test", [b.exp(weight)]));
    expect(() => differentiate(b, b.reduceSum(y), [weight])).toThrow(
      expect.objectContaining({
        message:
          'no gradient rule for Test (input 0) at node "/block/test/Test", needed by "layer1.weight". ' +
          "Freeze it with --freeze 'layer1.*', or add a rule in src/ops.",
      }),
    );
  });

  it("an op without a gradient that no parameter reaches is no error", () => {
    const b = withOp(notDifferentiable);
    const [x, w] = [input(b, "x", [2]), input(b, "w", [2])];
    const loss = b.reduceSum(b.mul(b.node("Test", [x]), w));
    expect(differentiate(b, loss, [w]).get(w)).toBeDefined();
    expect(() => differentiate(b, loss, [x])).toThrow('needed by "x"');
  });

  it("a rule that answers zero for one input and not at all for another", () => {
    const b = withOp(() => [zero, notDifferentiable]);
    const [x, y] = [input(b, "x", [2]), input(b, "y", [2])];
    const loss = b.reduceSum(b.node("Test", [x, y]));
    expect(differentiate(b, loss, [x]).get(x)).toBeUndefined();
    expect(() => differentiate(b, loss, [y])).toThrow("no gradient rule for Test (input 1)");
  });

  it("an op that is not in the table has no gradient either", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "x", [2]);
    const node = b.graph.addNode({
      op: "Unheard",
      inputs: [x],
      outputs: ["y"],
      name: "odd",
      types: [typeOf(x)],
    });
    expect(() => differentiate(b, b.reduceSum(node.outputs[0]!), [x])).toThrow(
      'no gradient rule for Unheard (input 0) at node "odd", needed by "x".',
    );
  });

  it("messages call a parameter by its user's name", () => {
    const b = newBuilder("test", targets.cpu);
    const x = input(b, "state/weights/0", [2]);
    const node = b.graph.addNode({
      op: "Unheard",
      inputs: [x],
      outputs: ["y"],
      name: "odd",
      types: [typeOf(x)],
    });
    const userNames = new Map([[x, "conv1.weight"]]);
    expect(() => differentiate(b, b.reduceSum(node.outputs[0]!), [x], userNames)).toThrow(
      "needed by \"conv1.weight\". Freeze it with --freeze 'conv1.*', or add a rule in src/ops.",
    );
  });
});

it("freeze patterns take the layer of a name", () => {
  expect(freezePattern("layer1.0.conv.weight")).toBe("layer1.0.conv.*");
  expect(freezePattern("weight")).toBe("weight");
  expect(freezePattern(".weight")).toBe(".weight");
});
