import { afterEach, expect, test, vi } from "vitest";
import { createVestibuleClient, type ReactNativeFile, UploadAvatarDocument } from "../src";
import { takeFiles } from "../src/client/upload";

afterEach(() => {
  vi.unstubAllGlobals();
});

const file: ReactNativeFile = { uri: "file:///photos/me.jpg", name: "me.jpg", type: "image/jpeg" };

test("files are replaced by null, wherever they are", () => {
  const blob = new Blob(["x"]);
  const { plain, files } = takeFiles({ input: { file: blob, more: [{ file }, null, 1] } });
  expect(plain).toEqual({ input: { file: null, more: [{ file: null }, null, 1] } });
  expect(files).toEqual([
    { path: "variables.input.file", file: blob },
    { path: "variables.input.more.0.file", file },
  ]);
});

test("dates, and values with toJSON, are sent as JSON represents them", () => {
  class Money {
    readonly cents = 150;
    toJSON(): string {
      return (this.cents / 100).toFixed(2);
    }
  }
  const url = new URL("https://example.com/a");
  const variables = { after: new Date(0), price: new Money(), url, list: [new Date(1)] };
  const { plain, files } = takeFiles(variables);
  expect(JSON.parse(JSON.stringify(plain))).toEqual({
    after: "1970-01-01T00:00:00.000Z",
    price: "1.50",
    url: "https://example.com/a",
    list: ["1970-01-01T00:00:00.001Z"],
  });
  expect(files).toEqual([]);
});

test("an object with other fields is no file of React Native", () => {
  const values = { a: { ...file, size: 1 }, b: { uri: "x", name: "y" }, c: { uri: "x", name: "y", type: 1 } };
  expect(takeFiles(values)).toEqual({ plain: values, files: [] });
});

/** Uploads the file, and returns the form as sent. */
async function formOf(sent: ReactNativeFile): Promise<unknown> {
  let body: unknown;
  const client = createVestibuleClient({
    url: "http://127.0.0.1:1/graphql",
    fetch: (_url, init) => {
      body = init?.body;
      return Promise.resolve(Response.json({ data: { uploadAvatar: null } }));
    },
  });
  await client.request(UploadAvatarDocument, { input: { file: sent } });
  return body;
}

test("a file of React Native is a part of the form, as React Native's fetch reads it", async () => {
  class ReactNativeForm {
    readonly parts: [name: string, value: unknown][] = [];
    append(name: string, value: unknown): void {
      this.parts.push([name, value]);
    }
  }
  vi.stubGlobal("FormData", ReactNativeForm);
  const form = await formOf(file);
  if (!(form instanceof ReactNativeForm)) throw new Error("no form was sent");
  const [operations, map, part] = form.parts;
  expect(JSON.parse(String(operations?.[1]))).toMatchObject({ variables: { input: { file: null } } });
  expect([map, part]).toEqual([["map", '{"0":["variables.input.file"]}'], ["0", file]]);
});

test("a file of React Native is refused elsewhere, where it would be sent as text", async () => {
  await expect(formOf(file)).rejects.toThrow("Use a File or a Blob.");
});
