// Brings tensors into a tap's form outside the training step: a small graph of the same emission, one for each batch size.
// The teacher's side is formed before it is kept, so that what is kept is the pooled value.
import type { Tensor } from "../base/tensor.ts";
import { writeGraph } from "../onnx/write-graph.ts";
import { newBuilder } from "../ops/index.ts";
import type { Target } from "../ops/target.ts";
import type { Runtime, Session } from "../runtime/session.ts";
import { emitForm } from "../taps/emit-form.ts";
import { isPlain, type TapForm } from "../taps/tap-form.ts";
import type { Teacher } from "./teacher.ts";

export class FormRunner {
  readonly #forms: ReadonlyMap<string, TapForm>;
  readonly #runtime: Runtime;
  readonly #target: Target;
  readonly #sessions = new Map<string, Session>();

  /** `forms` by tap name; values without one pass through. */
  constructor(forms: ReadonlyMap<string, TapForm>, runtime: Runtime, target: Target) {
    this.#forms = forms;
    this.#runtime = runtime;
    this.#target = target;
  }

  /** `forms` instead of those that it was made with, for values of other shapes. */
  async run(values: Readonly<Record<string, Tensor>>, forms = this.#forms): Promise<Record<string, Tensor>> {
    const formed = Object.entries(values).filter(([name]) => !isPlain(forms.get(name) ?? {}));
    if (formed.length === 0) return values;
    const inputs = Object.fromEntries(formed);
    const key = formed
      .map(([name, { dims }]) => `${name}[${dims}] ${JSON.stringify(forms.get(name))}`)
      .join(" ");
    let session = this.#sessions.get(key);
    if (!session) {
      session = await this.#runtime.load(this.#graphFor(inputs, forms));
      this.#sessions.set(key, session);
    }
    const out = await session.run(inputs);
    return Object.fromEntries(Object.entries(values).map(([name, t]) => [name, out[formedName(name)] ?? t]));
  }

  async release(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((s) => s.release()));
    this.#sessions.clear();
  }

  #graphFor(inputs: Readonly<Record<string, Tensor>>, forms: ReadonlyMap<string, TapForm>): Uint8Array {
    const b = newBuilder("forms", this.#target);
    for (const [name, { dtype, dims }] of Object.entries(inputs)) {
      const x = b.graph.addInput(name, { dtype, dims });
      const y = emitForm(b, x, forms.get(name) as TapForm);
      const node = b.graph.addNode({
        op: "Identity",
        inputs: [y],
        outputs: [formedName(name)],
        types: [y.type],
      });
      b.graph.addOutput(node.outputs[0] as typeof y);
    }
    return writeGraph(b.graph);
  }
}

const formedName = (name: string): string => `formed/${name}`;

/** The teacher with its taps in the forms that they have for such inputs. The runner is released apart. */
export function formedTeacher(
  teacher: Teacher,
  runner: FormRunner,
  formsFor: (
    inputs: readonly Tensor[],
    taps: Readonly<Record<string, Tensor>>,
  ) => Promise<ReadonlyMap<string, TapForm>>,
): Teacher {
  return {
    ...teacher,
    async run(inputs) {
      const { logits, taps } = await teacher.run(inputs);
      const forms = Object.keys(taps).length === 0 ? undefined : await formsFor(inputs, taps);
      return { logits, taps: forms ? await runner.run(taps, forms) : taps };
    },
  };
}
