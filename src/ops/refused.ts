// Ops that we know and refuse in a student, each with the reason and what to do. A teacher may hold any of them.
import type { Node } from "../graph/graph.ts";
import type { OpDefinition } from "./define.ts";

const cache = "it keeps keys and values from call to call; export the model without a key/value cache";
const control =
  "it runs its subgraph as often as the data say, which one graph of training cannot; export the model with the loop unrolled";
const integers = "it computes in integers; train the model in float32 and quantise the result";
const open = "the shape of its result depends on the data; leave that step out of the model";
const random = "it draws random numbers inside the graph; leave it out, or use Dropout";
const sequence = "it handles a list of tensors; export the model with tensors alone (Split, Concat)";

const refusals: Readonly<Record<string, string>> = {
  If: "its condition depends on the data, so that there is no one graph to train; export the branch that is taken",
  Loop: control,
  Scan: control,
  NonZero: open,
  Unique: open,
  NonMaxSuppression: open,
  StringNormalizer: "it handles text; feed numbers",
  TfIdfVectorizer: "it counts n-grams, which has no gradient; feed its result",
  Bernoulli: random,
  Multinomial: random,
  RandomNormal: random,
  RandomNormalLike: random,
  RandomUniform: random,
  RandomUniformLike: random,
  ConvInteger: integers,
  MatMulInteger: integers,
  QLinearConv: integers,
  QLinearMatMul: integers,
  DynamicQuantizeLinear: integers,
  SequenceAt: sequence,
  SequenceConstruct: sequence,
  SequenceEmpty: sequence,
  SequenceErase: sequence,
  SequenceInsert: sequence,
  SequenceLength: sequence,
  SequenceMap: sequence,
  SplitToSequence: sequence,
  ConcatFromSequence: sequence,
  "com.microsoft::GroupQueryAttention": cache,
  "com.microsoft::DecoderMaskedMultiHeadAttention": cache,
  "com.microsoft::DecoderMaskedSelfAttention": cache,
  "com.microsoft::MatMulNBits": integers,
  "com.microsoft::QAttention": integers,
  "com.microsoft::QLinearAdd": integers,
  "com.microsoft::QLinearMul": integers,
  "com.microsoft::QGemm": integers,
  "com.microsoft::DynamicQuantizeMatMul": integers,
  "com.microsoft::MatMulIntegerToFloat": integers,
};

export const refusedOps: readonly OpDefinition[] = Object.entries(refusals).map(([key, refused]) => {
  const [op, domain] = key.split("::").reverse() as [string, string | undefined];
  return {
    op,
    versions: [1],
    refused,
    ...(domain !== undefined && { domain }),
    ...(refused === random && { random: true as const }),
    // Scales of whole numbers, one for each channel, are floats that nobody learns.
    ...(refused === integers && { fixed: (node: Node) => node.inputs.map((_, i) => i) }),
  };
});
