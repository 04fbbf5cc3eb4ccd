// Inputs that have one value for all samples, computed in the graph instead of fed: scalars, vectors, states that begin at zero.
// They are made by nodes of whole numbers and fills, so that nothing takes them for weights.
import { DistillError, didYouMean } from "../base/errors.ts";
import { isFloat, newArray, sizeOf, type Tensor, tensor, toNumbers } from "../base/tensor.ts";
import type { ValueInfo } from "../base/value-info.ts";
import { patternTest } from "../compile/name-patterns.ts";
import type { AddedNode } from "../onnx/edit-model.ts";
import type { Model } from "../onnx/model.ts";

/**
 * What an input is for all samples: one number for all its elements, its elements in order, a tensor in the model's own
 * layout (with a batch of one), or "empty": nothing along the axes that are left open (keys and values of no tokens before).
 */
export type FixedValue = "zeros" | "ones" | "empty" | number | boolean | readonly number[] | Tensor;
/** By the input's name, or a pattern of names (`past_key_values.*`); an exact name counts before patterns, of these the first. */
export type Fix = Readonly<Record<string, FixedValue>>;

/** Elements that differ, one after another: each run of equal ones is a node. */
const mostRuns = 1024;

/** E_NAME for a name that is no input of the models. */
export function checkFixedNames(
  fix: Fix,
  models: readonly { readonly source: string; readonly inputs: readonly ValueInfo[] }[],
  flag: string,
): void {
  const names = models.flatMap((m) => m.inputs.map((i) => i.name));
  for (const name of Object.keys(fix))
    if (!names.some(patternTest(name)) && !names.includes(name))
      throw new DistillError(
        "E_NAME",
        `${flag} ${name}: ${models.map((m) => m.source).join(" and ")} ${models.length > 1 ? "have" : "has"} no input "${name}".${didYouMean(name, names)} Inputs: ${[...new Set(names)].join(", ") || "none"}`,
      );
}

/** What is said of an input. */
export function fixedValueOf(fix: Fix, name: string): FixedValue | undefined {
  if (Object.hasOwn(fix, name)) return fix[name];
  const pattern = Object.keys(fix).find((key) => key.includes("*") && patternTest(key)(name));
  return pattern === undefined ? undefined : fix[pattern];
}

/** What run.json keeps of it. */
export function recordOf(fix: Fix): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(fix).map(([name, value]) => [
      name,
      typeof value === "object" && "dtype" in value ? { dims: value.dims, values: toNumbers(value) } : value,
    ]),
  );
}

export interface FixedInput {
  readonly input: ValueInfo;
  /** The axis of the samples; undefined where the input has none. */
  readonly axis: number | undefined;
  readonly value: FixedValue;
}

/** `16000`, `[0.5,1,2]`, `zeros`: for messages. */
export function describeFixed(value: FixedValue): string {
  if (typeof value !== "object") return String(value);
  const all = "dtype" in value ? toNumbers(value) : value;
  if (all.length === 1) return String(all[0]);
  return all.length <= 8 ? `[${all.join(",")}]` : `${all.length} numbers`;
}

/**
 * Nodes that compute the input, under its name. `beside`: an input with the samples in front, where this one has samples too.
 *
 * Errors: E_ARGUMENT for numbers that do not fit the input, E_MODEL for a model too old to say it.
 */
export function nodesFor(
  { input, axis, value }: FixedInput,
  beside: string | undefined,
  { source, graph }: Pick<Model, "source" | "graph">,
): AddedNode[] {
  const opset = graph.opsets.get("") ?? 1;
  const { name, dtype } = input;
  const wrong = (why: string): DistillError =>
    new DistillError(
      "E_ARGUMENT",
      `${source}: input "${name}" ${dtype} [${input.dims.join(",")}] cannot be ${describeFixed(value)} for all samples: ${why}`,
    );
  if (opset < 9)
    throw new DistillError(
      "E_MODEL",
      `${source}: opset ${opset} is too old to fix input "${name}"; convert the model to opset 9 or newer with onnx.version_converter`,
    );
  const given = numbersOf(value);
  const dims = dimsFor(input, axis, value, given.length, wrong);
  const size = sizeOf(dims);
  if (given.length !== 1 && given.length !== size)
    throw wrong(`it takes ${size} numbers, got ${given.length}`);
  const hold = newArray(dtype === "string" ? "int8" : dtype, 1);
  if (dtype === "string" || dtype === "float16" || dtype === "bfloat16")
    if (dtype === "string" || given.some((v) => v !== 0)) throw wrong(`${dtype} is not supported here`);
  for (const v of given) {
    if (hold instanceof BigInt64Array || hold instanceof BigUint64Array) {
      if (!Number.isSafeInteger(v)) throw wrong(`${dtype} does not hold ${v}`);
    } else {
      hold[0] = v;
      if (!isFloat(dtype) && hold[0] !== v) throw wrong(`${dtype} does not hold ${v}`);
    }
  }
  let prefix = `${name}/fixed`;
  while ([...graph.values()].some((v) => v.name.startsWith(prefix))) prefix += "_";
  const made = new Maker(prefix);
  const flat = runsOf(size === 0 ? [0] : given);
  if (flat.length > mostRuns)
    throw wrong(`more than ${mostRuns} different numbers; give it to the data set as an input`);
  const scalar = (v: number): Tensor => tensor(dtype as "float32", [v], [1]);
  let at: string;
  if (flat.length === 1) at = made.fill(scalar(flat[0]?.value as number), dims);
  else {
    const parts = flat.map((run) => made.fill(scalar(run.value), [run.length]));
    at = made.add("Reshape", [made.add("Concat", parts, 0), made.whole(dims)]);
  }
  if (axis !== undefined && typeof input.dims[axis] === "string") {
    if (beside === undefined)
      throw wrong("no other input tells how many samples a batch has; leave one input to the data set");
    const samples = made.add("Gather", [made.add("Shape", [beside]), made.whole([0])], 0);
    const ones = (n: number): string[] => (n === 0 ? [] : [made.whole(new Array(n).fill(1))]);
    const repeats = [...ones(axis), samples, ...ones(dims.length - axis - 1)];
    at = made.add("Tile", [at, repeats.length === 1 ? samples : made.add("Concat", repeats, 0)]);
  }
  return [...made.nodes, { op: "Identity", name: prefix, inputs: [at], outputs: [name] }];
}

function numbersOf(value: FixedValue): number[] {
  if (value === "zeros" || value === "empty") return [0];
  if (value === "ones") return [1];
  if (typeof value === "boolean" || typeof value === "number") return [Number(value)];
  return "dtype" in (value as object) ? toNumbers(value as Tensor) : [...(value as readonly number[])];
}

/** The input's shape with a batch of one. */
function dimsFor(
  { dims }: ValueInfo,
  axis: number | undefined,
  value: FixedValue,
  count: number,
  wrong: (why: string) => DistillError,
): number[] {
  const one = dims.map((d, i) => (i === axis && typeof d === "string" ? 1 : d));
  if (typeof value === "object" && "dtype" in value) {
    const fits =
      value.dims.length === one.length && one.every((d, i) => typeof d === "string" || d === value.dims[i]);
    if (fits) return [...value.dims];
  }
  const open = one.flatMap((d, i) => (typeof d === "string" ? [i] : []));
  if (value === "empty" && open.length === 0) throw wrong("no size of it is left open");
  if (value === "empty") return one.map((d) => (typeof d === "string" ? 0 : d));
  if (open.length === 0) return one as number[];
  const rest = sizeOf(one.filter((d): d is number => typeof d === "number"));
  if (open.length > 1 || count < rest || count % rest !== 0 || typeof value !== "object")
    throw wrong(
      `the size of its axis ${open[0]} is left open; give all its numbers, a tensor, or empty (nothing there)`,
    );
  return one.map((d) => (typeof d === "string" ? count / rest : d));
}

function runsOf(values: readonly number[]): { value: number; length: number }[] {
  const runs: { value: number; length: number }[] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last && Object.is(last.value, value)) last.length++;
    else runs.push({ value, length: 1 });
  }
  return runs;
}

class Maker {
  readonly nodes: AddedNode[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  add(op: string, inputs: readonly string[], axis?: number): string {
    return this.#node(op, inputs, axis === undefined ? {} : { axis: { kind: "int", value: axis } });
  }

  whole(values: readonly number[]): string {
    return this.#node("Constant", [], { value: { kind: "tensor", value: tensor("int64", values) } });
  }

  fill(value: Tensor, dims: readonly number[]): string {
    return this.#node("ConstantOfShape", [this.whole(dims)], { value: { kind: "tensor", value } });
  }

  #node(op: string, inputs: readonly string[], attributes: NonNullable<AddedNode["attributes"]>): string {
    const name = `${this.#name}/${this.nodes.length}`;
    this.nodes.push({ op, name, inputs, outputs: [name], attributes });
    return name;
  }
}
