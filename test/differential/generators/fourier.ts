// DFT and STFT: lengths that are powers of two and others, cut and filled up; real and complex.
import { tensor } from "../../../src/base/tensor.ts";
import { int } from "../../../src/graph/graph.ts";
import { fed, type Generator, known } from "../case.ts";

const scalar = (v: number) => known(tensor("int64", [v], []));

const powersOfTwo = [1, 2, 4, 8, 16, 32];

export const fourier = {
  DFT: ({ d, opset }) => {
    const kinds = opset >= 20 ? 4 : 3;
    const kind = d.int(1, kinds);
    const [inverse, onesided] = [kind === 2 || kind === 4, kind >= 3];
    const parts = onesided ? (inverse ? 2 : 1) : d.int(1, 2);
    const rank = d.int(1, 3);
    const dims = [...d.shape(rank, { most: 9 }), parts];
    const axis = d.int(0, rank - 1);
    // A half spectrum of one bin has no length of its own, and of more than half the bins the runtime reads the wrong ones,
    // for powers of two of fewer too.
    const halved = inverse && onesided;
    if (halved) dims[axis] = Math.max(2, dims[axis] as number);
    const shortest = halved ? 2 * (dims[axis] as number) - 2 : 1;
    const lengths = Array.from({ length: 12 }, (_, i) => shortest + i).filter(
      (l) => !(halved && l > shortest + 1 && powersOfTwo.includes(l)),
    );
    const length = d.chance(0.5) ? scalar(d.pick(lengths)) : undefined;
    const said = d.chance(0.5) ? axis : axis - dims.length;
    const defaults = opset >= 20 ? axis === rank - 1 : axis === 1;
    const place = defaults && d.chance(0.5) ? undefined : said;
    return {
      inputs: [
        fed(d.floats(dims, { edges: "none" })),
        length,
        ...(opset >= 20 && place !== undefined ? [scalar(place)] : []),
      ],
      attributes: {
        inverse: int(inverse ? 1 : 0),
        onesided: int(onesided ? 1 : 0),
        ...(opset < 20 && place !== undefined && { axis: int(place) }),
      },
    };
  },
  STFT: ({ d }) => {
    const onesided = d.chance(0.6);
    const parts = onesided ? 1 : d.int(1, 2);
    const length = d.int(1, 10);
    // With a window the runtime's results on complex signals are undefined.
    const window = parts === 1 && d.chance(0.6);
    return {
      inputs: [
        fed(d.floats([d.length({ most: 3 }), length + d.int(0, 20), parts], { edges: "none" })),
        scalar(d.int(1, 6)),
        window ? known(d.floats([length], { edges: "none" })) : undefined,
        !window || d.chance(0.5) ? scalar(length) : undefined,
      ],
      attributes: !onesided || d.chance(0.5) ? { onesided: int(onesided ? 1 : 0) } : {},
    };
  },
} satisfies Record<string, Generator>;
