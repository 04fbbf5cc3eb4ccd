// The data of a comparison's rows: opened and split once, so that all runs over the same data share what is kept of it.
import { DistillError } from "../base/errors.ts";
import { split } from "../data/array-dataset.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Row } from "./compare-row.ts";
import { openEvaluation, openTraining } from "./open-data.ts";

export interface RowData {
  /** To train on. */
  readonly data: Dataset;
  /** Chooses the best epoch. */
  readonly evaluation: Dataset;
  /** Reported on, once. */
  readonly test: Dataset;
}

export class ComparisonData {
  readonly #validation: number;
  readonly #opened = new Map<string, Promise<RowData>>();

  /** `validation`: the share of the training samples that is held back. */
  constructor(validation: number) {
    this.#validation = validation;
  }

  of(row: Row): Promise<RowData> {
    const { data, evalData, mean, std } = row.flags;
    const key = JSON.stringify([data, evalData, mean, std]);
    let found = this.#opened.get(key);
    if (!found) this.#opened.set(key, (found = this.#open(row)));
    return found;
  }

  async #open({ name, flags }: Row): Promise<RowData> {
    const data = flags.data as string;
    const test = await openEvaluation(data, flags.evalData, flags);
    if (!test)
      throw new DistillError(
        "E_DATA",
        `row "${name}": ${data} has no test part to report on; give one with --eval-data`,
      );
    // The same samples in every run, whatever its seed.
    const [evaluation, training] = split(await openTraining(data, flags), this.#validation, 0);
    return { data: training, evaluation, test };
  }
}
