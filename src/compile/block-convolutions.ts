// Rewrites the 2-D convolutions of a finished step for a runtime that has kernels in a blocked layout: ONNX Runtime's CPU
// build keeps `block` neighbouring channels side by side there and needs no im2col, 1.3 to 2 times faster than its kernels
// of the plain layout. It uses them by itself only where the weights are constants, which those of a step are not; so
// the step itself brings inputs, weights and outputs into their layouts. Does the same arithmetic in another order.
//
// The layouts, with o = K / block and i = C / block: values [N, i, H, W, block]; weights [o, i, kh, kw, block of C, block of K];
// of depthwise convolutions and of those with fewer inputs than a block [o, C, kh, kw, block of K]. All are declared with
// their plain shapes. Domain com.microsoft.nchwc, version 1.
import { sizeOf, type TensorType, tensor } from "../base/tensor.ts";
import { Graph, int, ints, type Node, type NodeSpec, type Value } from "../graph/graph.ts";

const domain = "com.microsoft.nchwc";

/** The same graph with its eligible convolutions in the blocked layout; itself where there are none. */
export function blockConvolutions(graph: Graph, block: number): Graph {
  if (!graph.nodes.some((node) => formOf(node, block))) return graph;
  return new Rewrite(graph, block).run();
}

type Form = "blocked" | "depthwise" | "few-inputs";

/** How a node can be computed in the blocked layout; undefined where it can't. Whole blocks of outputs are needed. */
function formOf({ op, domain: of, inputs, attributes }: Node, block: number): Form | undefined {
  if (op !== "Conv" || of !== "") return undefined;
  const [x, w] = inputs;
  if (x?.type?.dims.length !== 4 || x.type.dtype !== "float32" || !w?.type) return undefined;
  const channels = x.type.dims[1] as number;
  const [maps, perGroup] = w.type.dims as [number, number];
  const group = attributes.group?.kind === "int" ? attributes.group.value : 1;
  if (maps % block !== 0) return undefined;
  if (group === 1) return channels < block ? "few-inputs" : channels % block === 0 ? "blocked" : undefined;
  return perGroup === 1 && maps === channels ? "depthwise" : undefined;
}

type Add = (
  op: string,
  inputs: readonly Value[],
  shape: readonly number[],
  more?: Pick<NodeSpec, "domain" | "attributes">,
) => Value;

class Rewrite {
  readonly #from: Graph;
  readonly #to: Graph;
  readonly #block: number;
  /** Values of the old graph in the plain layout and in the blocked one: either is made once, when it is asked for. */
  readonly #plain = new Map<Value, Value>();
  readonly #blocked = new Map<Value, Value>();

  constructor(from: Graph, block: number) {
    this.#from = from;
    this.#block = block;
    this.#to = new Graph(from.name, [...from.opsets, [domain, 1]]);
  }

  run(): Graph {
    const [from, to] = [this.#from, this.#to];
    for (const x of from.inputs) this.#plain.set(x, to.addInput(x.name, x.type));
    for (const [x, value] of from.constants) this.#plain.set(x, to.addConstant(x.name, value));
    // Taken now, so that no name made here is one that a later node brings along.
    const taken = new Set([...from.values(), ...from.nodes].map(({ name }) => name));
    const free = (name: string): string => {
      for (let i = 0; ; i++) {
        const tried = i === 0 ? name : `${name}_${i}`;
        if (!taken.has(tried)) {
          taken.add(tried);
          return tried;
        }
      }
    };
    for (const node of from.nodes) {
      const form = formOf(node, this.#block);
      if (form) this.#convolve(node, form, free);
      else this.#copy(node);
    }
    for (const y of from.outputs) to.addOutput(this.#new(y));
    to.prune();
    return to;
  }

  #new(old: Value): Value {
    const known = this.#plain.get(old);
    if (known) return known;
    const node = this.#to.addNode({
      op: "ReorderOutput",
      domain,
      inputs: [this.#blocked.get(old)],
      name: old.producer?.name ?? "",
      outputs: [old.name],
      types: [old.type],
      attributes: { channels: int(old.type?.dims[1] as number) },
    });
    const made = node.outputs[0] as Value;
    this.#plain.set(old, made);
    return made;
  }

  #copy(node: Node): void {
    const made = this.#to.addNode({
      ...node,
      inputs: node.inputs.map((x) => x && this.#new(x)),
      outputs: node.outputs.map((y) => y?.name ?? ""),
      types: node.outputs.map((y) => y?.type),
    });
    node.outputs.forEach((y, i) => {
      if (y) this.#plain.set(y, made.outputs[i] as Value);
    });
  }

  #convolve(node: Node, form: Form, free: (name: string) => string): void {
    const [x, w, bias] = node.inputs as [Value, Value, Value | undefined];
    const y = node.outputs[0] as Value;
    const dims = (y.type as TensorType).dims;
    const add: Add = (op, inputs, shape, more = {}) => {
      const name = free(`${node.name}/${op}`);
      const [output] = this.#to.addNode({
        op,
        inputs,
        name,
        outputs: [name],
        types: [{ dtype: "float32", dims: shape }],
        ...more,
      }).outputs;
      return output as Value;
    };
    const input = form === "few-inputs" ? this.#new(x) : this.#asBlocked(x, add);
    const operands = [input, this.#weights(w, form, add, free), ...(bias ? [this.#new(bias)] : [])];
    const convolved = add("Conv", operands, dims, {
      domain,
      attributes: node.attributes,
    });
    this.#blocked.set(y, convolved);
  }

  #asBlocked(x: Value, add: Add): Value {
    const known = this.#blocked.get(x);
    const made = known ?? add("ReorderInput", [this.#new(x)], (x.type as TensorType).dims, { domain });
    this.#blocked.set(x, made);
    return made;
  }

  #weights(w: Value, form: Form, add: Add, free: (name: string) => string): Value {
    const block = this.#block;
    const { dims } = w.type as TensorType;
    const [maps, perGroup, ...kernel] = dims as [number, number, ...number[]];
    const taps = sizeOf(kernel);
    const split =
      form === "blocked"
        ? [maps / block, block, perGroup / block, block, taps]
        : [maps / block, block, perGroup, taps];
    const perm = form === "blocked" ? [0, 2, 4, 3, 1] : [0, 2, 3, 1];
    const reshape = (value: Value, shape: readonly number[]): Value =>
      add("Reshape", [value, this.#to.addConstant(free("block/dims"), tensor("int64", shape))], shape);
    const transpose = (value: Value, from: readonly number[], perm: readonly number[]): Value =>
      reshape(
        add(
          "Transpose",
          [reshape(value, from)],
          perm.map((p) => from[p] as number),
          { attributes: { perm: ints(perm) } },
        ),
        dims,
      );
    const exchanged = form === "blocked" ? exchangedOf(w) : undefined;
    // Weights that are a map with its samples and channels exchanged (see ops/convolution-gradients.ts) are made of that
    // map's blocked form, in which whole blocks are moved: several times faster than moving single elements.
    return exchanged
      ? transpose(
          this.#asBlocked(exchanged, add),
          [perGroup / block, block, maps / block, taps, block],
          [2, 0, 3, 1, 4],
        )
      : transpose(this.#new(w), split, perm);
  }
}

/** v, where w is v with its first two axes exchanged. */
function exchangedOf({ producer }: Value): Value | undefined {
  const perm = producer?.op === "Transpose" ? producer.attributes.perm : undefined;
  return perm?.kind === "ints" && perm.value.join() === "1,0,2,3" ? producer?.inputs[0] : undefined;
}
