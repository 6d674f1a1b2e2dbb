/** A file of React Native, whose `fetch` reads it from its URI. */
export interface ReactNativeFile {
  /** The location, such as `file:///…` or `content://…`. */
  uri: string;
  /** The file name. */
  name: string;
  /** The media type, such as `image/jpeg`. */
  type: string;
}

/** A value of the scalar `Upload`. */
export type UploadFile = Blob | ReactNativeFile;

/** A file and its path in the variables. */
export interface FoundFile {
  /** The path, such as `variables.input.file`. */
  path: string;
  /** The file itself. */
  file: UploadFile;
}

/** Separates files, which JSON cannot represent, from the variables. All other values are as for `JSON.stringify`. */
export function takeFiles(variables: object): { plain: unknown; files: FoundFile[] } {
  const files: FoundFile[] = [];
  const walk = (value: unknown, path: string): unknown => {
    if (isFile(value)) {
      files.push({ path, file: value });
      return null;
    }
    if (Array.isArray(value)) return value.map((item: unknown, index) => walk(item, `${path}.${index}`));
    if (typeof value !== "object" || value === null || hasToJson(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, `${path}.${key}`)]));
  };
  return { plain: walk(variables, "variables"), files };
}

/** Builds the form of the GraphQL multipart request specification. */
export function multipart(operations: string, files: readonly FoundFile[]): FormData {
  const form = new FormData();
  // The types of browsers do not include the files of React Native.
  const parts: { append(name: string, value: string | UploadFile): void } = form;
  parts.append("operations", operations);
  parts.append("map", JSON.stringify(Object.fromEntries(files.map(({ path }, index) => [String(index), [path]]))));
  for (const [index, { file }] of files.entries()) {
    parts.append(String(index), file);
    // Only React Native reads a URI. Other forms contain "[object Object]" now.
    if ("get" in form && typeof form.get(String(index)) === "string") {
      throw new TypeError("Files by URI exist only in React Native. Use a File or a Blob.");
    }
  }
  return form;
}

function isFile(value: unknown): value is UploadFile {
  return value instanceof Blob || isReactNativeFile(value);
}

function isReactNativeFile(value: unknown): value is ReactNativeFile {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 3) return false;
  return ["uri", "name", "type"].every((key) => typeof Reflect.get(value, key) === "string");
}

/** True for dates, decimal numbers of libraries, and all others that `JSON.stringify` replaces. */
function hasToJson(value: object): boolean {
  return "toJSON" in value && typeof value.toJSON === "function";
}
