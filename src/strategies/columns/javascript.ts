// The loops in plain JavaScript, for where WebAssembly is not to be had and for matrices that are not worth loading it.
import { GROUP, type Kernel, place } from "./kernel.ts";

export function javaScriptKernel(): Kernel {
  const memory = new Float64Array(place.end);
  return {
    memory,
    addSums(groups, columns) {
      const { first, shift, squares } = place;
      for (let g = 0; g < groups; g++) {
        const row0 = place.rows + g * GROUP * columns;
        const row1 = row0 + columns;
        const row2 = row1 + columns;
        const row3 = row2 + columns;
        for (let c = 0; c < columns; c++) {
          const f = memory[first + c]!;
          const d0 = memory[row0 + c]! - f;
          const d1 = memory[row1 + c]! - f;
          const d2 = memory[row2 + c]! - f;
          const d3 = memory[row3 + c]! - f;
          memory[shift + c]! += d0 + d1 + (d2 + d3);
          memory[squares + c]! += d0 * d0 + d1 * d1 + (d2 * d2 + d3 * d3);
        }
      }
    },
    gradient(groups, columns) {
      const { first, shift, slope } = place;
      const toOut = place.out - place.rows;
      for (let g = 0; g < groups; g++) {
        const row0 = place.rows + g * GROUP * columns;
        const row1 = row0 + columns;
        const row2 = row1 + columns;
        const row3 = row2 + columns;
        for (let c = 0; c < columns; c++) {
          const f = memory[first + c]!;
          const m = memory[shift + c]!;
          const s = memory[slope + c]!;
          memory[row0 + toOut + c] = s * (memory[row0 + c]! - f - m) + 0;
          memory[row1 + toOut + c] = s * (memory[row1 + c]! - f - m) + 0;
          memory[row2 + toOut + c] = s * (memory[row2 + c]! - f - m) + 0;
          memory[row3 + toOut + c] = s * (memory[row3 + c]! - f - m) + 0;
        }
      }
    },
    results: (count) => memory.subarray(place.out, place.out + count),
  };
}
