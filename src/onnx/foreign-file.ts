// What a file that is no ONNX model seems to be, by its first bytes: the commonest mix-ups, each with its remedy.

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to));

/** Undefined where the bytes may well be the beginning of an ONNX model. */
export function explainForeignFile(bytes: Uint8Array): string | undefined {
  const head = ascii(bytes, 0, 64);
  if (head.startsWith("version https://git-lfs"))
    return "not an ONNX model but a Git LFS pointer to one; fetch the file itself with git lfs pull";
  const kind = kindOf(head);
  if (kind) return `not an ONNX model but ${kind}`;
  return undefined;
}

function kindOf(head: string): string | undefined {
  if (head.startsWith("\x89PNG")) return "a PNG image";
  if (head.startsWith("\xff\xd8\xff")) return "a JPEG image";
  if (head.startsWith("\x89HDF")) return "an HDF5 file (Keras weights?); convert it with tf2onnx";
  if (head.startsWith("PK\x03\x04"))
    return "a ZIP archive (a PyTorch checkpoint or .npz?); export it to ONNX first";
  if (head.startsWith("\x1f\x8b")) return "a gzip file; unpack it first";
  if (head.slice(4, 8) === "TFL3") return "a TensorFlow Lite model; convert it with tf2onnx";
  if (head.slice(4, 8) === "ORTM")
    return "a model in ONNX Runtime's own format; use the .onnx file that it was made from";
  // A protobuf message of this kind has control characters among its first bytes (tags and lengths).
  if (head.length >= 8 && /^[\t\n\r\x20-\x7e\x80-\xff]+$/.test(head)) return "a text file";
  return undefined;
}
