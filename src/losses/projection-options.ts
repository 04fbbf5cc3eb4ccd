// How a projection of a tap may be asked for; what it is, is projection.ts's job. Loads nothing, so that help can know it.
import { checkInitialization, type Initialization } from "../base/initialization.ts";

export interface ProjectionOptions {
  /** How weight and bias begin; default "pytorch": uniform in ±1/√(student's neurons). */
  readonly init?: Initialization;
  /** Whether a constant is added to each projected neuron; default true. */
  readonly bias?: boolean;
  /** Default: the run's seed. Taps of other names begin with other numbers at the same seed. */
  readonly seed?: number;
}

export type Projection = Required<ProjectionOptions>;

/** Fills in defaults. Error: `E_OPTION` for an unknown initialisation. */
export function resolveProjection(where: string, o: ProjectionOptions, seed: number): Projection {
  const projection = { init: "pytorch", bias: true, seed, ...o } as const;
  checkInitialization(projection.init, where);
  return projection;
}
