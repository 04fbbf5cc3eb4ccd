// The ways to begin with a student's weights, by name. Loads nothing, for the command line shows them in its help.

/**
 * - `keep` (default): the weights in the file.
 * - `kaiming`: normal with standard deviation √(2/fan_in), for ReLU (He et al. 2015).
 * - `xavier`: uniform in ±√(6/(fan_in + fan_out)), for tanh and sigmoid (Glorot and Bengio 2010).
 * - `trunc-normal`: normal with standard deviation 0.02, cut at ±0.04, as BERT and vision transformers do.
 */
export const weightInits = ["keep", "kaiming", "xavier", "trunc-normal"] as const;
export type WeightInit = (typeof weightInits)[number];
