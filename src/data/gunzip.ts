// gzip, recognised by its first bytes. Uses the platform's DecompressionStream (Node and browsers), for it checks the
// checksum: a pure JavaScript inflate that does not would hand on damaged images.
import { DistillError } from "../base/errors.ts";

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** `bytes` themselves, or what they hold where they are a gzip file. Damaged or cut short: E_FILE. */
export async function gunzipIfNeeded(bytes: Uint8Array, source: string): Promise<Uint8Array> {
  if (!isGzip(bytes)) return bytes;
  try {
    const blob = new Blob([bytes as Uint8Array<ArrayBuffer>]);
    const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (cause) {
    throw new DistillError(
      "E_FILE",
      `${source}: the gzip data is cut short or damaged (${bytes.length} bytes); fetch or copy the file again`,
      { cause },
    );
  }
}
