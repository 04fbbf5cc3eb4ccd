// Convolutions and pools: every way to say where windows lie.
import { type Attributes, float, floats, int, ints, string } from "../../../src/graph/graph.ts";
import { fed, type Generator, i64, type UpTo, upTo } from "../case.ts";
import type { Draw } from "../draw.ts";
import { gemm } from "./linear.ts";

interface Windows {
  readonly kernel: number[];
  readonly spatial: number[];
  readonly attributes: Attributes;
}

/** Windows that fit on the input: kernels, strides, dilations, and pads given, left out or left to auto_pad. */
function windows(
  d: Draw,
  rank: number,
  options: { dilated: boolean; padsBelowKernel?: boolean; apart?: boolean },
): Windows {
  const kernel = Array.from({ length: rank }, () => d.int(1, 3));
  const dilated = options.dilated && d.chance(0.4);
  const dilations = kernel.map(() => (dilated ? d.int(1, 2) : 1));
  const reach = kernel.map((k, i) => (k - 1) * (dilations[i] as number) + 1);
  const spatial = reach.map((r) => r + d.int(0, 5));
  const auto = d.chance(0.25) ? d.pick(["SAME_UPPER", "SAME_LOWER", "VALID"]) : undefined;
  // The runtime refuses the negative padding that wider strides would need, or we where it makes something else of it.
  const wide = options.padsBelowKernel ? kernel : reach;
  const strides = wide.map((r) => d.int(1, auto && !options.apart ? Math.min(r, 3) : 3));
  const pads = [...wide, ...wide].map((r) => d.int(0, Math.min(2, r - 1)));
  return {
    kernel,
    spatial,
    attributes: {
      kernel_shape: ints(kernel),
      ...(d.chance(0.7) && { strides: ints(strides) }),
      ...(dilated && { dilations: ints(dilations) }),
      ...(auto ? { auto_pad: string(auto) } : d.chance(0.6) ? { pads: ints(pads) } : {}),
    },
  };
}

function conv(d: Draw): { inputs: ReturnType<typeof fed>[]; attributes: Attributes; maps: number } {
  const rank = d.pick([1, 2, 2, 2, 3]);
  const group = d.pick([1, 1, 2, 3]);
  const [inner, maps] = [d.int(1, 3), group * d.int(1, 3)];
  const { kernel, spatial, attributes } = windows(d, rank, { dilated: true });
  const { kernel_shape, ...rest } = attributes;
  const tensor = (dims: readonly number[]) => fed(d.floats(dims, { edges: "summed" }));
  const inputs = [
    tensor([d.length({ most: 2 }), inner * group, ...spatial]),
    tensor([maps, inner, ...kernel]),
  ];
  return {
    inputs: d.chance(0.5) ? [...inputs, tensor([maps])] : inputs,
    attributes: {
      ...rest,
      ...(d.chance(0.5) && kernel_shape && { kernel_shape }),
      ...((group > 1 || d.chance(0.3)) && { group: int(group) }),
    },
    maps,
  };
}

const pool = (d: Draw, options: { dilated: boolean }) => {
  const rank = d.pick([1, 2, 2, 3]);
  const w = windows(d, rank, { ...options, padsBelowKernel: true });
  return { ...w, dims: [d.length({ most: 2 }), d.length({ most: 3 }), ...w.spatial] };
};

const ceilMode = (d: Draw): Attributes => (d.chance(0.5) ? { ceil_mode: int(d.int(0, 1)) } : {});

const global =
  (attributes: (d: Draw) => Attributes = () => ({})): Generator =>
  ({ d }) => ({
    inputs: [fed(d.floats(d.shape(d.int(3, 5)), { edges: "summed" }))],
    attributes: attributes(d),
  });

const fusedActivations = ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Clip"] as const;

export const convolution = {
  Conv: ({ d }) => ({ ...conv(d), scale: 20 }),
  ConvTranspose: ({ d }) => {
    const rank = d.pick([1, 2, 2]);
    const group = d.pick([1, 1, 2]);
    const [inner, maps] = [group * d.int(1, 2), d.int(1, 3)];
    const { kernel, attributes } = windows(d, rank, { dilated: true, apart: true });
    const { kernel_shape: _, ...rest } = attributes;
    const strides = rest.strides?.value as readonly number[] | undefined;
    const tensor = (dims: readonly number[]) => fed(d.floats(dims, { edges: "summed" }));
    const spatial = kernel.map(() => d.int(2, 5));
    const padding = strides && d.chance(0.3) ? strides.map((s) => d.int(0, s - 1)) : undefined;
    const wanted = d.chance(0.2) ? spatial.map((n, i) => n * (strides?.[i] ?? 1) + d.int(-1, 1)) : undefined;
    const inputs = [tensor([d.length({ most: 2 }), inner, ...spatial]), tensor([inner, maps, ...kernel])];
    return {
      inputs: d.chance(0.5) ? [...inputs, tensor([maps * group])] : inputs,
      attributes: {
        ...rest,
        ...(group > 1 && { group: int(group) }),
        ...(padding && { output_padding: ints(padding) }),
        ...(wanted && { output_shape: ints(wanted) }),
      },
      scale: 20,
    };
  },
  "com.microsoft::FusedConv": ({ d }) => {
    const { inputs, attributes } = conv(d);
    const activation = d.pick(fusedActivations);
    const parameters = { LeakyRelu: [0.2], HardSigmoid: [0.3, 0.6], Clip: [-0.5, 1] }[activation as string];
    return {
      inputs,
      attributes: {
        ...attributes,
        activation: string(activation),
        ...(parameters && { activation_params: floats(parameters) }),
      },
      scale: 20,
    };
  },
  "com.microsoft::FusedGemm": ({ d }) => {
    const { inputs, attributes } = gemm(d, true);
    const activation = d.pick(["Relu", "Sigmoid", "Tanh", "LeakyRelu"] as const);
    const more = activation === "LeakyRelu" ? { activation_alpha: float(0.2) } : {};
    return { inputs, attributes: { ...attributes, activation: string(activation), ...more }, scale: 10 };
  },
  MaxPool: ({ d, opset }) => {
    const { dims, attributes } = pool(d, { dilated: opset >= 10 });
    return {
      inputs: [fed(d.floats(dims, { edges: d.pick(["any", "finite"]) }))],
      attributes: { ...attributes, ...(opset >= 10 && ceilMode(d)) },
      outputs: opset >= 8 ? d.pick([1, 1, 2]) : 1,
    };
  },
  AveragePool: ({ d, opset }) => {
    const { dims, attributes } = pool(d, { dilated: opset >= 19 });
    return {
      inputs: [fed(d.floats(dims, { edges: "summed" }))],
      attributes: {
        ...attributes,
        ...(opset >= 10 && ceilMode(d)),
        ...(d.chance(0.5) && { count_include_pad: int(d.int(0, 1)) }),
      },
    };
  },
  LpPool: ({ d, opset }) => {
    const { dims, attributes } = pool(d, { dilated: opset >= 18 });
    return {
      inputs: [fed(d.floats(dims, { edges: "summed" }))],
      attributes: {
        ...attributes,
        ...(opset >= 18 && ceilMode(d)),
        ...(d.chance(0.7) && { p: int(d.int(1, 4)) }),
      },
      tolerance: 1e-5, // Powers and roots of them.
    };
  },
  GlobalAveragePool: global(),
  GlobalMaxPool: ({ d }) => ({
    inputs: [fed(d.floats(d.shape(d.int(3, 5)), { edges: d.pick(["any", "finite"]) }))],
  }),
  GlobalLpPool: upTo(
    21,
    "the runtime has no kernel of version 22",
    global((d) => (d.chance(0.7) ? { p: int(d.int(1, 4)) } : {})),
  ),
  MaxUnpool: ({ d }) => {
    const dims = [d.length({ most: 2 }), d.length({ most: 2 }), d.int(1, 3), d.int(1, 3)];
    const kernel = [d.int(1, 3), d.int(1, 3)];
    const out = dims.map((n, i) => (i < 2 ? n : n * (kernel[i - 2] as number)));
    const total = out.reduce((p, n) => p * n, 1);
    const count = dims.reduce((p, n) => p * n, 1);
    const places = d.shuffled(Array.from({ length: total }, (_, i) => i)).slice(0, count);
    return {
      inputs: [fed(d.floats(dims)), fed(i64(places, dims).tensor)],
      attributes: { kernel_shape: ints(kernel), strides: ints(kernel) },
    };
  },
} satisfies Record<string, Generator | UpTo>;
