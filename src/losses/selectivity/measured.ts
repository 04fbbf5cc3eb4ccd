// What the selectivity loss wants measured outside the step: the teacher's scores over its whole training set, and which
// neuron answers like which.
import {
  type Matrix,
  type NeuronSelectivityDistillationStrategy,
  ResponseCorrelation,
  SelectivityAccumulator,
} from "../../strategies/index.ts";
import { meanOfPositions } from "../../strategies/metrics/over.ts";
import { metricNamed } from "../../strategies/selectivity-metric.ts";
import type { MeasuredVariable } from "../terms.ts";
import { stateNames } from "./state-names.ts";

export function measuredVariables(
  strategy: NeuronSelectivityDistillationStrategy,
  taps: readonly string[],
): MeasuredVariable[] {
  if (strategy.selectivityWeight === 0) return [];
  return taps.flatMap((tap) => [
    ...(strategy.target === "dataset" ? [teacherScores(strategy, tap)] : []),
    ...(strategy.match === "assignment" ? [assignment(strategy, tap)] : []),
  ]);
}

function teacherScores(strategy: NeuronSelectivityDistillationStrategy, tap: string): MeasuredVariable {
  const { metric, over } = strategy;
  const { needsClasses } = metricNamed("selectivity", metric);
  return {
    name: stateNames(tap, strategy).teacher,
    tap,
    begin() {
      const accumulator = new SelectivityAccumulator({ metric, over });
      return {
        add({ teacher, classes }) {
          accumulator.add(teacher, needsClasses ? classes : undefined);
        },
        result: () => Float32Array.from(accumulator.scores()),
      };
    },
  };
}

function assignment(strategy: NeuronSelectivityDistillationStrategy, tap: string): MeasuredVariable {
  const responses = (side: string, m: Matrix): Matrix =>
    strategy.over === "samples" ? meanOfPositions(`${side} activations "${tap}"`, m) : m;
  return {
    name: stateNames(tap, strategy).assignment,
    tap,
    every: strategy.assignmentEvery,
    begin() {
      const correlation = new ResponseCorrelation();
      return {
        add({ teacher, student }) {
          if (student) correlation.add(responses("student", student), responses("teacher", teacher));
        },
        result: () => Float32Array.from(correlation.assignment()),
      };
    },
  };
}
