// What a model declares about its inputs and outputs, and the files that lie beside it. Shared by the rooms
// that read models and the rooms that run them; knows neither protobuf nor a runtime.
import type { DType } from "./tensor.ts";

/** A declared tensor input or output; a dimension that the model leaves open is its name, or "?" without one. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string)[];
}

/** A whole file of tensor data outside the model. */
export interface ExternalFile {
  /** The location as the model spells it. */
  readonly path: string;
  /** Of a file that was left on disk: read whole, each time that it is asked for. */
  readonly data: Uint8Array;
}

/** An external file that stays where it is, so that its bytes need not be in memory. */
export interface FileOnDisk extends ExternalFile {
  /** `path` is relative to it. */
  readonly folder: string;
  /** Bytes. */
  readonly size: number;
  /** It is the file of the model itself. */
  readonly own?: boolean;
  /** `length` bytes from `offset` on, read from the file. */
  slice(offset: number, length: number): Uint8Array;
  /** Throws E_FILE where the file is no longer what it was when the model was read. */
  check(): void;
}

export function isOnDisk(file: ExternalFile): file is FileOnDisk {
  return "folder" in file;
}

/** Bytes of the file. */
export function fileSize(file: ExternalFile): number {
  return isOnDisk(file) ? file.size : file.data.length;
}

/** `length` bytes from `offset` on: a view of what is in memory, or read from disk. */
export function fileView(file: ExternalFile, offset: number, length: number): Uint8Array {
  return isOnDisk(file) ? file.slice(offset, length) : file.data.subarray(offset, offset + length);
}

/** The same bytes in memory of their own. */
export function fileCopy(file: ExternalFile, offset: number, length: number): Uint8Array {
  const view = fileView(file, offset, length);
  return isOnDisk(file) ? view : new Uint8Array(view);
}
