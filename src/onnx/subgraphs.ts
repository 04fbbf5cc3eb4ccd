// What lies in the subgraphs of a node (Loop, Scan, If), which a Graph carries along unread: the ops, and the names that
// are taken from outside. Source: ONNX IR specification, scoping of names.
import { isMessage } from "@bufbuild/protobuf";
import { AttributeProtoSchema, type GraphProto, type NodeProto } from "onnx-buf";
import type { Node } from "../graph/graph.ts";
import { domainOf, shallow } from "./proto.ts";

/** Op and domain of every node in the subgraphs of `node`, at any depth. */
export function* opsInside(node: Node): Generator<{ readonly op: string; readonly domain: string }> {
  for (const g of subgraphsOf(node)) yield* opsOf(g);
}

/** Names of values that the subgraphs of `node` may take from outside; some are their own. */
export function* namesInside(node: Node): Generator<string> {
  for (const g of subgraphsOf(node)) yield* namesOf(g);
}

function* subgraphsOf(node: Node): Generator<GraphProto> {
  for (const attribute of Object.values(node.attributes)) {
    if (attribute.kind !== "opaque" || !isMessage(attribute.value, AttributeProtoSchema)) continue;
    if (attribute.value.g) yield attribute.value.g;
    yield* attribute.value.graphs;
  }
}

function* inner(node: NodeProto): Generator<GraphProto> {
  for (const { g, graphs } of node.attribute) {
    if (g) yield g;
    yield* graphs;
  }
}

function* opsOf(g: GraphProto): Generator<{ readonly op: string; readonly domain: string }> {
  for (const node of g.node) {
    yield { op: node.opType, domain: domainOf(node.domain) };
    for (const sub of inner(node)) yield* opsOf(sub);
  }
}

/** Every name that a node and the subgraphs in it take; of the latter some are their own. */
export function* takenBy(node: NodeProto): Generator<string> {
  yield* node.input;
  for (const g of inner(node)) yield* namesOf(g);
}

function* namesOf(g: GraphProto): Generator<string> {
  yield* g.output.map((o) => o.name);
  for (const node of g.node) yield* takenBy(node);
}

/** The node, which takes values by other names, also in its subgraphs; what does not change is shared. */
export function withNames(node: NodeProto, renamed: ReadonlyMap<string, string>): NodeProto {
  if (![...takenBy(node)].some((name) => renamed.has(name))) return node;
  const as = (name: string): string => renamed.get(name) ?? name;
  const inside = (g: GraphProto): GraphProto =>
    Object.assign(shallow(g), {
      node: g.node.map((n) => withNames(n, renamed)),
      output: g.output.map((o) =>
        renamed.has(o.name) ? Object.assign(shallow(o), { name: as(o.name) }) : o,
      ),
    });
  return Object.assign(shallow(node), {
    input: node.input.map(as),
    attribute: node.attribute.map((a) =>
      a.g || a.graphs.length > 0
        ? Object.assign(shallow(a), { ...(a.g && { g: inside(a.g) }), graphs: a.graphs.map(inside) })
        : a,
    ),
  });
}
