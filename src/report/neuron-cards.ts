// Single neurons from near: what they prefer, how their responses are spread, and the samples that excite them most.

import { preferredClasses } from "../analysis/choose-neurons.ts";
import type { AnalyzedSide, AnalyzedTap, ChosenNeuron } from "../analysis/selectivity.ts";
import type { Excitation } from "../analysis/top-samples.ts";
import { formatCount, formatFixed, formatNumber, formatPercent } from "../base/format.ts";
import type { Shape } from "../base/tensor.ts";
import { DISTILLED, TEACHER } from "./chart.ts";
import { classBars } from "./class-map.ts";
import { type Html, html } from "./html.ts";
import type { SamplePicture } from "./sample-pictures.ts";
import { responseHistogram } from "./score-histograms.ts";

export type Pictures = ReadonlyMap<number, SamplePicture>;

export function neuronCards(
  tap: AnalyzedTap,
  classNames: readonly string[],
  pictures: Pictures,
): Html | undefined {
  if (tap.chosen.length === 0) return undefined;
  const two = tap.student !== undefined;
  return html`<div class="grid two">${tap.chosen.map(
    (chosen) =>
      html`<article class="card neuron"><h3>Neuron ${formatCount(chosen.neuron)}</h3>${
        two && html`<h4><i class="key" style="background:${TEACHER}"></i>teacher</h4>`
      }${oneNeuron(tap.teacher, chosen.neuron, classNames, pictures, two ? TEACHER : DISTILLED)}${
        tap.student && partnerPart(tap, tap.student, chosen, classNames, pictures)
      }</article>`,
  )}</div>`;
}

function partnerPart(
  tap: AnalyzedTap,
  student: AnalyzedSide,
  { neuron, partner }: ChosenNeuron,
  classNames: readonly string[],
  pictures: Pictures,
): Html {
  if (partner === undefined)
    return html`<p class="caption">No neuron of the student was left to be assigned to it.</p>`;
  const assigned = tap.comparison?.assignment[partner] === neuron;
  const r = assigned ? tap.comparison?.correlations[partner] : undefined;
  const why =
    r === undefined
      ? "the one of the same number; by its responses another would match better"
      : `correlation of responses ${formatFixed(r, 2)}`;
  return html`<h4><i class="key" style="background:${DISTILLED}"></i>student’s neuron ${formatCount(partner)}, ${why}</h4>${oneNeuron(student, partner, classNames, pictures, DISTILLED)}`;
}

function oneNeuron(
  { profile, shape }: AnalyzedSide,
  neuron: number,
  classNames: readonly string[],
  pictures: Pictures,
  color: string,
): Html {
  const { kept, scores } = profile;
  const liked = preferredClasses(profile)[neuron] ?? -1;
  const selective = scores["class-selectivity"]?.[neuron];
  const facts = [
    ...(liked >= 0 ? [`prefers ${classNames[liked]}`] : []),
    ...(selective === undefined ? [] : [`class selectivity ${formatFixed(selective, 2)}`]),
    `sparseness ${formatFixed(scores["lifetime-sparseness"]?.[neuron], 2)}`,
    `active ${formatPercent(profile.active[neuron])}`,
  ];
  const responses = Array.from({ length: kept.rows }, (_, r) => kept.data[r * kept.columns + neuron]!);
  return html`<p class="facts-line">${facts.join(" · ")}</p>
<div class="near"><div class="pictures">${profile.excited(neuron).map((e) => picture(e, shape, pictures.get(e.sample)))}</div>${classBars(profile, neuron, classNames)}</div>
<div class="plot">${responseHistogram(responses, color, 460)}</div>`;
}

function picture(e: Excitation, shape: Shape, sample: SamplePicture | undefined): Html {
  const told = `sample ${e.sample}${sample?.label === undefined ? "" : `, ${sample.label}`}: response ${formatNumber(e.response)}`;
  if (sample?.uri === undefined)
    return html`<div class="sample" title="${told}"><code>${sample?.text ?? ""}</code><span>${sample?.label ?? ""} ${formatNumber(e.response)}</span></div>`;
  return html`<div class="sample image" title="${told}"><div><img alt="${told}" src="${sample.uri}"/>${mark(e, shape)}</div><span>${sample.label ?? formatNumber(e.response)}</span></div>`;
}

/** A ring where in a map [C, H, W] the response is strongest, in the picture's proportions. */
function mark({ position }: Excitation, shape: Shape): Html | undefined {
  const [, h, w] = shape;
  if (shape.length !== 3 || h === undefined || w === undefined || h * w < 4) return undefined;
  const left = (100 * ((position % w) + 0.5)) / w;
  const top = (100 * (Math.floor(position / w) + 0.5)) / h;
  return html`<i style="left:${formatFixed(left, 1)}%;top:${formatFixed(top, 1)}%"></i>`;
}
