// Normalisations.
import { randomTensor } from "../../compile/compile-model.ts";
import { epsilon, f32, i64, type Meaning, number, positive } from "./spelling.ts";

const [gamma, beta] = [positive(4, [4]), randomTensor(5, [4])];

const standardise = `mean = ReduceMean(x) axes=[-1]
                     centred = Sub(x, mean)`;
export const layerNorm: Meaning = {
  layer: "a layer normalisation",
  input: [3, 4],
  weights: { gamma, beta },
  spellings: [
    { name: "LayerNormalization", text: "y = LayerNormalization(x, gamma, beta) axis=-1" },
    {
      name: "Pow, Sqrt and Div",
      opset: 13,
      constants: { ...epsilon, two: number(2) },
      text: `${standardise}
             square = Pow(centred, two)
             variance = ReduceMean(square) axes=[-1]
             shifted = Add(variance, epsilon)
             deviation = Sqrt(shifted)
             z = Div(centred, deviation)
             scaled = Mul(z, gamma)
             y = Add(scaled, beta)`,
    },
    {
      name: "Mul with itself, Rsqrt by Reciprocal, axes as an input",
      opset: 18,
      constants: { ...epsilon, axes: i64(-1) },
      text: `mean = ReduceMean(x, axes)
             centred = Sub(x, mean)
             square = Mul(centred, centred)
             variance = ReduceMean(square, axes)
             shifted = Add(variance, epsilon)
             deviation = Sqrt(shifted)
             inverse = Reciprocal(deviation)
             scale = Mul(inverse, gamma)
             scaled = Mul(centred, scale)
             y = Add(beta, scaled)`,
    },
    {
      name: "the mean taken into the shift, as TensorFlow writes it",
      constants: epsilon,
      text: `mean = ReduceMean(x) axes=[-1]
             centred = Sub(x, mean)
             square = Mul(centred, centred)
             variance = ReduceMean(square) axes=[-1]
             shifted = Add(variance, epsilon)
             deviation = Sqrt(shifted)
             inverse = Reciprocal(deviation)
             scale = Mul(inverse, gamma)
             offset = Mul(mean, scale)
             shift = Sub(beta, offset)
             scaled = Mul(x, scale)
             y = Add(scaled, shift)`,
    },
    {
      name: "ReduceSumSquare and Pow(-0.5)",
      constants: { ...epsilon, quarter: number(0.25), half: number(-0.5) },
      text: `${standardise}
             sum = ReduceSumSquare(centred) axes=[-1]
             variance = Mul(sum, quarter)
             shifted = Add(variance, epsilon)
             inverse = Pow(shifted, half)
             z = Mul(centred, inverse)
             scaled = Mul(gamma, z)
             y = Add(scaled, beta)`,
    },
    {
      name: "SkipLayerNormalization of a half and a half",
      constants: { half: number(0.5), rank: i64(1, 3, 4), flat: i64(3, 4) },
      text: `part = Mul(x, half)
             batch = Reshape(part, rank)
             z = com.microsoft::SkipLayerNormalization(batch, batch, gamma, beta) epsilon=1e-5
             y = Reshape(z, flat)`,
    },
  ],
};

export const rmsNorm: Meaning = {
  layer: "a root mean square normalisation",
  input: [3, 4],
  weights: { gamma },
  spellings: [
    { name: "RMSNormalization", opset: 23, text: "y = RMSNormalization(x, gamma) axis=-1 epsilon=1e-5" },
    {
      name: "SimplifiedLayerNormalization",
      text: "y = SimplifiedLayerNormalization(x, gamma) axis=-1 epsilon=1e-5",
    },
    {
      name: "Pow, ReduceMean, Sqrt and Reciprocal",
      constants: { ...epsilon, two: number(2) },
      text: `square = Pow(x, two)
             mean = ReduceMean(square) axes=[-1]
             shifted = Add(mean, epsilon)
             root = Sqrt(shifted)
             inverse = Reciprocal(root)
             z = Mul(x, inverse)
             y = Mul(gamma, z)`,
    },
    {
      name: "Div by ReduceL2, epsilon aside",
      opset: 18,
      constants: { ...epsilon, axes: i64(-1), four: number(0.25) },
      text: `square = Mul(x, x)
             sum = ReduceSum(square, axes)
             mean = Mul(sum, four)
             shifted = Add(mean, epsilon)
             root = Sqrt(shifted)
             z = Div(x, root)
             y = Mul(z, gamma)`,
    },
  ],
};

const statistics = { mean: f32([0, 0, 0, 0]), variance: f32([1, 1, 1, 1]) };
export const batchNorm: Meaning = {
  layer: "a batch normalisation on its running statistics",
  input: [2, 4, 3, 3],
  weights: { gamma, beta },
  spellings: [
    {
      name: "BatchNormalization",
      constants: statistics,
      text: "y = BatchNormalization(x, gamma, beta, mean, variance) epsilon=1e-12",
    },
    {
      name: "BatchNormalization of opset 7",
      opset: 7,
      constants: statistics,
      text: "y = BatchNormalization(x, gamma, beta, mean, variance) epsilon=1e-12",
    },
    {
      name: "Mul and Add of reshaped weights",
      constants: { column: i64(1, 4, 1, 1) },
      text: `g = Reshape(gamma, column)
             b = Reshape(beta, column)
             scaled = Mul(x, g)
             y = Add(scaled, b)`,
    },
    {
      name: "Mul and Add of unsqueezed weights",
      constants: { axes: i64(1, 2) },
      text: `g = Unsqueeze(gamma, axes)
             b = Unsqueeze(beta, axes)
             scaled = Mul(g, x)
             y = Add(b, scaled)`,
    },
    {
      name: "channels last between two Transposes",
      text: `last = Transpose(x) perm=[0,2,3,1]
             scaled = Mul(last, gamma)
             shifted = Add(scaled, beta)
             y = Transpose(shifted) perm=[0,3,1,2]`,
    },
    {
      name: "a depthwise convolution",
      constants: { square: i64(4, 1, 1, 1) },
      text: "g = Reshape(gamma, square)\ny = Conv(x, g, beta) group=4",
    },
  ],
};

export const groupNorm: Meaning = {
  layer: "a group normalisation",
  input: [2, 4, 3, 3],
  weights: { gamma, beta },
  spellings: [
    {
      name: "GroupNormalization",
      opset: 21,
      text: "y = GroupNormalization(x, gamma, beta) num_groups=2 epsilon=1e-5",
    },
    {
      name: "InstanceNormalization between Reshapes",
      constants: {
        groups: i64(0, 2, -1),
        ones: f32([1, 1]),
        zeros: f32([0, 0]),
        axes: i64(1, 2),
      },
      text: `shape = Shape(x)
             grouped = Reshape(x, groups)
             z = InstanceNormalization(grouped, ones, zeros) epsilon=1e-5
             map = Reshape(z, shape)
             g = Unsqueeze(gamma, axes)
             b = Unsqueeze(beta, axes)
             scaled = Mul(map, g)
             y = Add(scaled, b)`,
    },
    {
      name: "written out",
      constants: { groups: i64(2, 2, 18), map: i64(2, 4, 3, 3), column: i64(4, 1, 1), ...epsilon },
      text: `grouped = Reshape(x, groups)
             mean = ReduceMean(grouped) axes=[2]
             centred = Sub(grouped, mean)
             square = Mul(centred, centred)
             variance = ReduceMean(square) axes=[2]
             shifted = Add(variance, epsilon)
             root = Sqrt(shifted)
             z = Div(centred, root)
             m = Reshape(z, map)
             g = Reshape(gamma, column)
             b = Reshape(beta, column)
             scaled = Mul(m, g)
             y = Add(scaled, b)`,
    },
  ],
};
