// What PyTorch's exporters say of a program's inputs, in the two forms that its versions write.
import { expect, test } from "vitest";
import { parseGraphSignature } from "../../src/onnx/graph-signature.ts";

const expected = [
  { argument: "p_a_weight", kind: "PARAMETER", target: "a.weight" },
  { argument: "b_mean", kind: "BUFFER", target: "mean" },
  { argument: "c_lifted_tensor_0", kind: "CONSTANT_TENSOR", target: "lifted_tensor_0" },
];

test("a line per input, as since PyTorch 2.7", () => {
  const text = `
# inputs
p_a_weight: PARAMETER target='a.weight'
b_mean: BUFFER target='mean' persistent=True
c_lifted_tensor_0: CONSTANT_TENSOR target='lifted_tensor_0'
x: USER_INPUT

# outputs
linear: USER_OUTPUT
`;
  expect(parseGraphSignature(text)).toEqual(expected);
});

test("the dataclass itself, as before", () => {
  const text =
    "ExportGraphSignature(input_specs=[InputSpec(kind=<InputKind.PARAMETER: 2>, arg=TensorArgument(name='p_a_weight'), target='a.weight', persistent=None), InputSpec(kind=<InputKind.BUFFER: 3>, arg=TensorArgument(name='b_mean'), target='mean', persistent=True), InputSpec(kind=<InputKind.CONSTANT_TENSOR: 4>, arg=TensorArgument(name='c_lifted_tensor_0'), target='lifted_tensor_0', persistent=None), InputSpec(kind=<InputKind.USER_INPUT: 1>, arg=TensorArgument(name='x'), target=None, persistent=None)], output_specs=[OutputSpec(kind=<OutputKind.USER_OUTPUT: 1>, arg=TensorArgument(name='linear'), target=None)])";
  expect(parseGraphSignature(text)).toEqual(expected);
});

test("another text says nothing", () => {
  expect(parseGraphSignature("signature: v9 {a.weight: param}")).toEqual([]);
});
