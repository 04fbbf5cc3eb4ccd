// A user's model as read: the graph that the other rooms work on, and what it declares. The protobuf message
// behind it is kept untouched and private to this room (proto.ts), so that writing back loses nothing.
import type { ExternalFile, ValueInfo } from "../base/value-info.ts";
import type { Graph, Value } from "../graph/graph.ts";

export interface Model {
  /**
   * The main graph, with model-local functions and Ifs of constant condition written out. Inputs that have an initialiser are constants, and so are the outputs of Constant nodes, which
   * are then not among the nodes. A constant that we cannot hold (sparse, complex, …) stays a Constant node.
   * `Value.type` is set where the model declares a static shape; its constants are decoded when first looked at.
   */
  readonly graph: Graph;
  /**
   * The constants that are Constant nodes of the file's main graph, where they could be initialisers (a function's body
   * has no others).
   */
  readonly constantNodes: ReadonlySet<Value>;
  /** Path or label, for messages. */
  readonly source: string;
  /** Declared inputs, in the model's order. */
  readonly inputs: readonly ValueInfo[];
  /** Declared tensor outputs. One that declares no tensor type is in `graph.outputs` alone. */
  readonly outputs: readonly ValueInfo[];
  /** Whole external files that the model's tensors lie in; hand them to `Runtime.load` with the model's bytes. */
  readonly externalFiles: readonly ExternalFile[];
}
