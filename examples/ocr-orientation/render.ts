// Lines of text as pictures, upright or turned by half: what the orientation classifier of an OCR system sees. Seeded.
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createCanvas, GlobalFonts, type SKRSContext2D } from "@napi-rs/canvas";
import { type Random, randomFor } from "../../src/base/random.ts";
import type { Tensor } from "../../src/base/tensor.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { imageDataset } from "../../src/data/image-dataset.ts";

/** Pixels of a picture, as PP-OCR's classifier takes them. */
export const [height, width] = [48, 192];

const words =
  "the of and to in is you that it he was for on are as with his they at be this have from or one had " +
  "by word but not what all were we when your can said there use an each which she do how their if will " +
  "up other about out many then them these so some her would make like him into time has look two more " +
  "write go see number no way could people my than first water been call who oil its now find long down " +
  "day did get come made may part over new sound take only little work know place year live me back " +
  "give most very after thing our just name good sentence man think say great where help through much " +
  "before line right too mean old any same tell boy follow came want show also around form three small " +
  "set put end does another well large must big even such because turn here why ask went men read need " +
  "land different home us move try kind hand picture again change off play spell air away animal house " +
  "point page letter mother answer found study still learn should America world high every near add " +
  "food between own below country plant last school father keep tree never start city earth eye light " +
  "thought head under story saw left don't few while along might close something seem next hard open " +
  "example begin life always those both paper together got group often run invoice total price street " +
  "telephone order delivery quantity account balance customer address station platform ticket exit " +
  "entrance";
const dictionary = words.split(" ");

function registerFonts(): readonly string[] {
  const folder = join(
    dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json")),
    "ttf",
  );
  return readdirSync(folder)
    .filter((file) => /^DejaVu(Sans|SansMono|Serif)(-Bold)?\.ttf$/.test(file))
    .sort()
    .map((file) => {
      const family = file.replace(".ttf", "");
      GlobalFonts.registerFromPath(join(folder, file), family);
      return family;
    });
}

const fonts = registerFonts();

/** The pictures of renderText as a data set, scaled to [−1, 1] when they are read. */
export function renderedText(count: number, seed: number): Dataset {
  const { images, labels } = renderText(count, seed);
  return imageDataset({
    images,
    labels,
    mean: 0.5,
    std: 0.5,
    classes: 2,
    classNames: ["upright", "turned"],
    source: "rendered text",
  });
}

/**
 * `count` lines of text as uint8 [N, H, W, 3], label 0 upright, 1 turned by 180°. Text, typeface, size, colours, place, slant
 * and noise come from (seed, picture).
 */
export function renderText(count: number, seed: number): { images: Tensor; labels: Tensor } {
  const canvas = createCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = new Uint8Array(count * height * width * 3);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const random = randomFor(seed, "text", i);
    labels[i] = random.nextInt(2);
    draw(context, random, labels[i] === 1);
    const { data } = context.getImageData(0, 0, width, height);
    const noise = random.nextInt(16);
    for (let p = 0; p < height * width; p++) {
      const grain = (random.nextFloat() - 0.5) * noise;
      for (let c = 0; c < 3; c++)
        pixels[(i * height * width + p) * 3 + c] = Math.min(
          255,
          Math.max(0, (data[4 * p + c] as number) + grain),
        );
    }
  }
  return {
    images: { dtype: "uint8", dims: [count, height, width, 3], data: pixels },
    labels: { dtype: "int32", dims: [count], data: labels },
  };
}

function draw(context: SKRSContext2D, random: Random, turned: boolean): void {
  const shade = (from: number, to: number): string =>
    `rgb(${[0, 1, 2].map(() => Math.round(from + random.nextFloat() * (to - from))).join(",")})`;
  const dark = random.nextFloat() < 0.3;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = dark ? shade(0, 60) : shade(200, 255);
  context.fillRect(0, 0, width, height);
  // About the middle, so that turning the picture turns the text alone.
  context.translate(width / 2, height / 2);
  if (turned) context.rotate(Math.PI);
  context.rotate((random.nextFloat() - 0.5) * 0.08);
  const text = line(random);
  const font = fonts[random.nextInt(fonts.length)];
  const size = 24 + random.nextInt(10);
  context.font = `${size}px "${font}"`;
  const wide = context.measureText(text).width;
  const fit = Math.min(1, (width - 8) / wide);
  context.scale(fit, 1);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = dark ? shade(200, 255) : shade(0, 70);
  context.fillText(text, (random.nextFloat() - 0.5) * 12, (random.nextFloat() - 0.5) * 8);
}

/** Two or three words, some of them numbers, in one of three ways of writing. */
function line(random: Random): string {
  const parts = Array.from({ length: 2 + random.nextInt(2) }, () =>
    random.nextFloat() < 0.1
      ? String(1000 + random.nextInt(99_000))
      : (dictionary[random.nextInt(dictionary.length)] as string),
  );
  const text = parts.join(" ");
  const way = random.nextInt(3);
  if (way === 0) return text;
  return way === 1 ? text.toUpperCase() : `${(text[0] as string).toUpperCase()}${text.slice(1)}.`;
}
