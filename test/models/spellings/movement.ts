// Channels split and joined; maps of another size.
import { f32, i64, type Meaning, positive } from "./spelling.ts";

export const shuffle: Meaning = {
  layer: "channels split, exchanged and joined",
  input: [2, 4, 3, 3],
  weights: { gamma: positive(10, [4, 1, 1]) },
  spellings: [
    {
      name: "Split of opset 7",
      opset: 7,
      text: "m = Mul(x, gamma)\na, b = Split(m) axis=1 split=[1,3]\ny = Concat(b, a) axis=1",
    },
    {
      name: "Split of opset 13",
      constants: { sizes: i64(1, 3) },
      text: "m = Mul(x, gamma)\na, b = Split(m, sizes) axis=1\ny = Concat(b, a) axis=1",
    },
    {
      name: "Slice of opset 7",
      opset: 7,
      text: `m = Mul(x, gamma)
             a = Slice(m) axes=[1] starts=[0] ends=[1]
             b = Slice(m) axes=[1] starts=[1] ends=[9223372036854775807]
             y = Concat(b, a) axis=1`,
    },
    {
      name: "Slice of opset 11",
      opset: 11,
      constants: { zero: i64(0), one: i64(1), end: i64(1000000), axis: i64(1) },
      text: `m = Mul(x, gamma)
             a = Slice(m, zero, one, axis)
             b = Slice(m, one, end, axis)
             y = Concat(b, a) axis=1`,
    },
    {
      name: "Gather",
      constants: { places: i64(1, 2, 3, 0) },
      text: "m = Mul(x, gamma)\ny = Gather(m, places) axis=1",
    },
    {
      name: "a product with a permutation",
      constants: {
        flat: i64(2, 4, 9),
        map: i64(2, 4, 3, 3),
        places: i64(1, 2, 3, 0),
        four: i64(4),
        hot: f32([0, 1]),
      },
      text: `m = Mul(x, gamma)
             f = Reshape(m, flat)
             p = OneHot(places, four, hot) axis=-1
             t = MatMul(p, f)
             y = Reshape(t, map)`,
    },
  ],
};

export const upsampling: Meaning = {
  layer: "a map of twice the size",
  input: [2, 4, 3, 3],
  weights: { gamma: positive(11, [4, 1, 1]) },
  spellings: [
    {
      name: "Resize by scales",
      constants: { scales: f32([1, 1, 2, 2]) },
      text: "m = Mul(x, gamma)\ny = Resize(m, , scales) mode=nearest coordinate_transformation_mode=asymmetric nearest_mode=floor",
    },
    {
      name: "Resize to sizes put together from the shape",
      constants: { sizes: i64(6, 6), start: i64(0), end: i64(2) },
      text: `m = Mul(x, gamma)
             s = Shape(m)
             front = Slice(s, start, end)
             all = Concat(front, sizes) axis=0
             y = Resize(m, , , all) mode=nearest coordinate_transformation_mode=half_pixel nearest_mode=round_prefer_floor`,
    },
    {
      name: "Resize of opset 10",
      opset: 10,
      constants: { scales: f32([1, 1, 2, 2]) },
      text: "m = Mul(x, gamma)\ny = Resize(m, scales) mode=nearest",
    },
    {
      name: "Upsample of opset 9",
      opset: 9,
      constants: { scales: f32([1, 1, 2, 2]) },
      text: "m = Mul(x, gamma)\ny = Upsample(m, scales) mode=nearest",
    },
    {
      name: "Expand and Reshape",
      constants: { narrow: i64(2, 4, 3, 1, 3, 1), wide: i64(2, 4, 3, 2, 3, 2), map: i64(2, 4, 6, 6) },
      text: `m = Mul(x, gamma)
             n = Reshape(m, narrow)
             e = Expand(n, wide)
             y = Reshape(e, map)`,
    },
    {
      name: "a transposed convolution of ones",
      constants: { square: i64(4, 1, 1, 1), wide: i64(4, 1, 2, 2) },
      text: `g = Reshape(gamma, square)
             k = Expand(g, wide)
             y = ConvTranspose(x, k) strides=[2,2] group=4`,
    },
  ],
};
