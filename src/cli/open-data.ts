// `--data` and its kin -> data sets. Which part of the data a command means when nobody says so.
import { DistillError } from "../base/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import { type OpenDatasetOptions, openDataset } from "../data/open-dataset.ts";

export interface Scaling {
  readonly mean?: number | number[] | undefined;
  readonly std?: number | number[] | undefined;
}

const scaling = ({ mean, std }: Scaling): OpenDatasetOptions => ({
  ...(mean !== undefined && { mean }),
  ...(std !== undefined && { std }),
});

/** The part to train on. */
export const openTraining = (path: string, s: Scaling): Promise<Dataset> => openDataset(path, scaling(s));

/** The test part, or undefined where the data has none. */
export async function openTest(path: string, s: Scaling): Promise<Dataset | undefined> {
  // Two files, images and labels, are one part; there is no other.
  if (path.includes(",")) return undefined;
  try {
    return await openDataset(path, { ...scaling(s), split: "test" });
  } catch (error) {
    // The only E_FILE and E_DATA that mean "there is no such part", not "it is damaged".
    if (error instanceof DistillError && / no test (images|samples|part)/.test(error.message))
      return undefined;
    throw error;
  }
}

/** What `--eval-data` names, or the test part of `data`; undefined where there is neither. */
export const openEvaluation = (
  data: string,
  evalData: string | undefined,
  s: Scaling,
): Promise<Dataset | undefined> =>
  evalData === undefined ? openTest(data, s) : openPart(evalData, undefined, s);

/** The named part; without a name the test part, where there is one, and all of it otherwise. */
export async function openPart(
  path: string,
  part: "train" | "test" | undefined,
  s: Scaling,
): Promise<Dataset> {
  if (part) return openDataset(path, { ...scaling(s), split: part });
  return (await openTest(path, s)) ?? openDataset(path, scaling(s));
}
