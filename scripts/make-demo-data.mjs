// Makes assets/fashion-mnist/*.gz: a stratified part of Fashion-MNIST, the same images at every run.
//
//   node scripts/make-demo-data.mjs /usr/share/datasets/fashion-mnist
//
// The folder holds the four original files (Debian's package dataset-fashion-mnist). Plain JavaScript: needs no build.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

const SEED = 2017;
const CLASSES = 10;
const COUNTS = { train: 16_000, t10k: 3_000 };

const from = process.argv[2];
if (!from) {
  console.error("usage: node scripts/make-demo-data.mjs <folder with the four original Fashion-MNIST files>");
  process.exit(2);
}
const to = fileURLToPath(new URL("../assets/fashion-mnist/", import.meta.url));
mkdirSync(to, { recursive: true });

const random = xoroshiro128plus(SEED);
for (const [part, count] of Object.entries(COUNTS)) {
  const [images, labels] = ["images-idx3", "labels-idx1"].map((what) =>
    gunzipSync(readFileSync(join(from, `${part}-${what}-ubyte.gz`))),
  );
  const size = images.readUInt32BE(8) * images.readUInt32BE(12);
  const labelOf = (i) => labels[8 + i];
  const all = Array.from({ length: labels.readUInt32BE(4) }, (_, i) => i);

  const chosen = [];
  for (let c = 0; c < CLASSES; c++) {
    const members = all.filter((i) => labelOf(i) === c);
    for (let n = 0; n < count / CLASSES; n++)
      chosen.push(...members.splice(uniformInt(random, 0, members.length - 1), 1));
  }
  // In the original's order, which is mixed: the first n images are a fair sample too.
  chosen.sort((a, b) => a - b);

  write(
    `${part}-images-idx3-ubyte`,
    images,
    16,
    chosen.map((i) => images.subarray(16 + i * size, 16 + (i + 1) * size)),
  );
  write(
    `${part}-labels-idx1-ubyte`,
    labels,
    8,
    chosen.map((i) => labels.subarray(8 + i, 9 + i)),
  );
}

function write(name, original, headerLength, parts) {
  const header = Buffer.from(original.subarray(0, headerLength));
  header.writeUInt32BE(parts.length, 4);
  const content = Buffer.concat([header, ...parts]);
  const packed = gzipSync(content, { level: 9 });
  writeFileSync(join(to, `${name}.gz`), packed);
  const sum = createHash("sha256").update(content).digest("hex");
  console.log(`${name}.gz: ${parts.length} samples, ${packed.length} bytes; unpacked SHA-256 ${sum}`);
}
