// The order in which nodes can be computed. Knows names alone, no op.
import type { NodeProto } from "onnx-buf";
import { DistillError } from "../base/errors.ts";

/**
 * The nodes, each after those that it takes from, with their places in the file. ONNX asks for that order already,
 * and then it is kept; some tools write another, which ONNX Runtime accepts. `given` tells which values need no node.
 *
 * Errors: E_MODEL for a value that nothing defines, and for nodes that wait for each other.
 */
export function inOrder(
  nodes: readonly NodeProto[],
  given: (name: string) => boolean,
): [NodeProto, number][] {
  const producers = new Map<string, number>();
  nodes.forEach((node, i) => {
    for (const o of node.output) if (o !== "") producers.set(o, i);
  });
  const ordered: [NodeProto, number][] = [];
  const state = new Uint8Array(nodes.length); // 0 untouched, 1 waiting for its inputs, 2 placed
  for (let start = 0; start < nodes.length; start++) {
    const stack = [start];
    while (stack.length > 0) {
      const i = stack.at(-1) as number;
      const node = nodes[i] as NodeProto;
      if (state[i] === 2) {
        stack.pop();
        continue;
      }
      const waits = [];
      for (const input of node.input) {
        if (input === "" || given(input)) continue;
        const producer = producers.get(input);
        if (producer === undefined)
          throw new DistillError(
            "E_MODEL",
            `nothing defines "${input}", which node ${nameOf(node, i)} takes`,
          );
        if (state[producer] === 2) continue;
        if (state[producer] === 1 || producer === i)
          throw new DistillError("E_MODEL", `the nodes form a circle at ${nameOf(node, i)}`);
        waits.push(producer);
      }
      if (waits.length > 0) {
        state[i] = 1;
        stack.push(...waits.reverse());
        continue;
      }
      state[i] = 2;
      ordered.push([node, i]);
      stack.pop();
    }
  }
  return ordered;
}

/** A name for each node: its own, or its op and its place in the file where it has none. */
export function nodeNames(nodes: readonly NodeProto[]): string[] {
  const taken = new Set(nodes.map((n) => n.name));
  return nodes.map((node, i) => {
    let name = node.name;
    if (name === "") for (name = `${node.opType}_${i}`; taken.has(name); ) name += "_";
    return name;
  });
}

function nameOf(node: NodeProto, i: number): string {
  return `${node.opType} "${node.name || `${node.opType}_${i}`}"`;
}
