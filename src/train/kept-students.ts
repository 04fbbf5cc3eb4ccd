// The words for which student a run ends with: apart from options.ts, because help tells them, and help must load nothing.

/** See `DistillOptions.keep`. */
export const keptStudents = ["best", "last"] as const;
