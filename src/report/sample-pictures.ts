// Samples of a data set as one can look at them: images as small PNGs, everything else as a line of text. Reads only the
// samples that are shown.
import type { SelectivityAnalysis } from "../analysis/selectivity.ts";
import { formatNumber } from "../base/format.ts";
import { type Shape, sizeOf, type Tensor, toNumbers } from "../base/tensor.ts";
import { type Dataset, labelTensor } from "../data/dataset.ts";
import { encodePng, pngUri } from "./png.ts";

export interface SamplePicture {
  /** A data URI; undefined where the input is no image. */
  readonly uri?: string;
  /** What stands for a sample that is no image, e.g. `0.12, −1.4, …`. */
  readonly text?: string;
  /** The class, where the data has labels that are classes. */
  readonly label?: string;
}

/** What was done to pixels before the model saw them; one number, or one per channel. */
export interface PictureScaling {
  readonly mean?: number | readonly number[] | undefined;
  readonly std?: number | readonly number[] | undefined;
}

/** Longer sides are averaged down to this. */
const largestSide = 96;
const mostValues = 12;

/** Pictures of all samples that excite the chosen neurons, by number of the sample. */
export async function readPictures(
  analysis: SelectivityAnalysis,
  dataset: Dataset,
  scaling: PictureScaling = {},
): Promise<Map<number, SamplePicture>> {
  const wanted = new Set(
    analysis.taps
      .flatMap((t) =>
        t.chosen.flatMap((c) => [
          ...t.teacher.profile.excited(c.neuron),
          ...(t.student && c.partner !== undefined ? t.student.profile.excited(c.partner) : []),
        ]),
      )
      .map((e) => e.sample),
  );
  const samples = [...wanted].sort((a, b) => a - b);
  const pictures = new Map<number, SamplePicture>();
  for (let from = 0; from < samples.length; from += 64) {
    const some = samples.slice(from, from + 64);
    const { inputs, labels } = await dataset.read(some);
    const shapes = inputs.map((t) => t.dims.slice(1));
    const image = shapes.findIndex((dims) => imageLayout(dims) !== undefined);
    const told = labels && dataset.classes !== undefined ? toNumbers(labelTensor(labels)) : undefined;
    some.forEach((sample, i) => {
      const label = told && told.length === some.length ? told[i]! : undefined;
      pictures.set(sample, {
        ...(image < 0
          ? { text: textOf(sampleOf(inputs[0] as Tensor, i)) }
          : { uri: pictureOf(sampleOf(inputs[image] as Tensor, i), shapes[image]!, scaling) }),
        ...(label !== undefined && { label: dataset.classNames?.[label] ?? String(label) }),
      });
    });
  }
  return pictures;
}

function sampleOf(t: Tensor, i: number): number[] {
  const each = sizeOf(t.dims.slice(1));
  const data = (t.data as Float32Array).subarray(i * each, (i + 1) * each);
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

interface ImageLayout {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  /** Steps in the data from one channel, and from one pixel, to the next. */
  readonly channelStep: number;
  readonly pixelStep: number;
}

/** [C, H, W], [H, W, C] or [H, W], of one channel or three, at least 4 × 4. */
function imageLayout(dims: Shape): ImageLayout | undefined {
  const [a = 0, b = 0, c = 0] = dims;
  const colours = (n: number): n is 1 | 3 => n === 1 || n === 3;
  if (dims.length === 3 && colours(a) && b >= 4 && c >= 4)
    return { channels: a, height: b, width: c, channelStep: b * c, pixelStep: 1 };
  if (dims.length === 3 && colours(c) && a >= 4 && b >= 4)
    return { channels: c, height: a, width: b, channelStep: 1, pixelStep: c };
  if (dims.length === 2 && a >= 4 && b >= 4)
    return { channels: 1, height: a, width: b, channelStep: 0, pixelStep: 1 };
  return undefined;
}

/** The pixels before they were normalised, if those lie in [0, 1]; otherwise from the darkest to the brightest. */
function pictureOf(values: readonly number[], dims: Shape, { mean = 0, std = 1 }: PictureScaling): string {
  const { channels, height, width, channelStep, pixelStep } = imageLayout(dims) as ImageLayout;
  const of = (x: number | readonly number[], k: number) => (typeof x === "number" ? x : (x[k] ?? x[0] ?? 0));
  const scale = Math.max(1, Math.ceil(Math.max(height, width) / largestSide));
  const [h, w] = [Math.max(1, Math.floor(height / scale)), Math.max(1, Math.floor(width / scale))];
  const pixels = new Float64Array(h * w * channels);
  for (let y = 0, i = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      for (let k = 0; k < channels; k++, i++) {
        let sum = 0;
        for (let dy = 0; dy < scale; dy++)
          for (let dx = 0; dx < scale; dx++)
            sum += values[((y * scale + dy) * width + x * scale + dx) * pixelStep + k * channelStep]!;
        pixels[i] = (sum / scale ** 2) * of(std, k) + of(mean, k);
      }
  const [low, high] = [Math.min(...pixels), Math.max(...pixels)];
  const plain = low > -0.01 && high < 1.01;
  const [from, range] = plain ? [0, 1] : [low, high - low || 1];
  const bytes = Uint8Array.from(pixels, (v) =>
    Math.round(255 * Math.max(0, Math.min(1, (v - from) / range))),
  );
  return pngUri(encodePng(w, h, channels, bytes));
}

function textOf(values: readonly number[]): string {
  const shown = values.slice(0, mostValues).map((v) => formatNumber(v));
  const rest = values.length - shown.length;
  return `${shown.join(", ")}${rest > 0 ? `, … (${rest} more)` : ""}`;
}
