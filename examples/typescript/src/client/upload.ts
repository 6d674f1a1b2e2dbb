/** A file and its path in the variables. */
export interface FoundFile {
  /** The path, such as `variables.input.file`. */
  path: string;
  /** The file itself. */
  file: Blob;
}

/** Separates files, which JSON cannot represent, from the variables. */
export function takeFiles(variables: object): { plain: unknown; files: FoundFile[] } {
  const files: FoundFile[] = [];
  const walk = (value: unknown, path: string): unknown => {
    if (value instanceof Blob) {
      files.push({ path, file: value });
      return null;
    }
    if (Array.isArray(value)) return value.map((item, index) => walk(item, `${path}.${index}`));
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, `${path}.${key}`)]));
    }
    return value;
  };
  return { plain: walk(variables, "variables"), files };
}

/** Builds the form of the GraphQL multipart request specification. */
export function multipart(operations: string, files: readonly FoundFile[]): FormData {
  const form = new FormData();
  form.append("operations", operations);
  form.append("map", JSON.stringify(Object.fromEntries(files.map(({ path }, index) => [String(index), [path]]))));
  files.forEach(({ file }, index) => form.append(String(index), file));
  return form;
}
