// The words that the options of the selectivity loss take. Holds words and types alone, so that help can list them without
// loading a strategy.

/**
 * What counts as a sample of a map [N, C, H, W] or a sequence [N, T, C]: each position of each sample; the sample, its
 * positions averaged; or, sample by sample, its positions.
 */
export type SelectivityOver = "samples-and-positions" | "samples" | "positions";

/** How the neurons of two layers are matched: see `NeuronSelectivityOptions`. */
export type SelectivityMatch = "index" | "rank" | "assignment";

/** Which of the teacher's scores are the target: those of the same batch, or those of the whole training set. */
export type SelectivityTarget = "batch" | "dataset";

/**
 * What a pair of scores s (student) and t (teacher) contributes to the mean over the pairs:
 *
 * - `"squared"`: (s − t)²;
 * - `"absolute"`: |s − t|, of derivative 0 at 0;
 * - `"relative"`: (s − t)² over the mean of t² over the pairs (or 1e-6 where that is more), so that a weight means about
 *   the same for every metric: 1 is the loss of a student whose scores are all 0.
 */
export type SelectivityDistance = "squared" | "absolute" | "relative";

export const selectivityOvers: readonly SelectivityOver[] = ["samples-and-positions", "samples", "positions"];
export const selectivityMatches: readonly SelectivityMatch[] = ["index", "rank", "assignment"];
export const selectivityTargets: readonly SelectivityTarget[] = ["batch", "dataset"];
export const selectivityDistances: readonly SelectivityDistance[] = ["squared", "absolute", "relative"];
