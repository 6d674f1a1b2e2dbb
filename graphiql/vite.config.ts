import react from "@vitejs/plugin-react";
import { gzipSync } from "fflate";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/** Licences of the libraries in the bundle: shipped with it, but not served. */
const LICENCES = "licences.md";

/** Files with licences that Vite does not collect: of a library in a worker, and of libraries inside another one. */
const FURTHER = ["picomatch-browser/LICENSE", "monaco-editor/ThirdPartyNotices.txt"];

/** Libraries in the workers, which Vite builds separately. */
const inWorkers = new Set<string>();

/** Notes the libraries in a worker. */
function workerLibraries(): Plugin {
  return {
    name: "worker-libraries",
    generateBundle(_, files) {
      for (const file of Object.values(files)) {
        for (const module of file.type === "chunk" ? file.moduleIds : []) {
          const library = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module)?.[1];
          if (library !== undefined) inWorkers.add(library);
        }
      }
    },
  };
}

/** Completes the licences. */
function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    writeBundle({ dir = "" }) {
      const modules = fileURLToPath(new URL("../node_modules/", import.meta.url));
      const further = FURTHER.map((file) => `\n## ${file}\n\n${readFileSync(join(modules, file), "utf8").trim()}\n`);
      const text = readFileSync(join(dir, LICENCES), "utf8") + further.join("");
      const missing = [...inWorkers].filter((name) => !text.includes(`\n## ${name} `) && !text.includes(`\n## ${name}/`));
      if (missing.length > 0) throw new Error(`Add the licences of ${missing.join(", ")} to FURTHER.`);
      writeFileSync(join(dir, LICENCES), text.replaceAll("\r\n", "\n"));
    },
  };
}

/**
 * Compresses the files of the bundle; the binary contains them as they are sent. The compressor is a package, because the
 * output of Node's depends on its version and on the processor.
 */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    writeBundle({ dir = "" }) {
      for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
        const file = join(dir, name);
        if (name === LICENCES || statSync(file).isDirectory()) continue;
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9, mtime: 0 }));
        rmSync(file);
      }
    },
  };
}

/** Names contain hashes of the content. */
const names = { hashCharacters: "hex" } as const;

export default defineConfig({
  base: "/graphiql/",
  // The service prefixes its path to URLs in the page; all other URLs are relative to their file.
  experimental: { renderBuiltUrl: (_, { hostType }) => (hostType === "html" ? undefined : { relative: true }) },
  resolve: { alias: { vestibule: fileURLToPath(new URL("../examples/typescript/src/index.ts", import.meta.url)) } },
  plugins: [react(), licences(), compressed()],
  worker: { plugins: () => [workerLibraries()], rolldownOptions: { output: names } },
  build: {
    outDir: "bundle",
    emptyOutDir: true,
    license: { fileName: LICENCES },
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      output: {
        ...names,
        // A change of an example, or of the page itself, leaves the large files as they are.
        codeSplitting: { groups: [{ name: "libraries", test: /node_modules/, tags: ["$initial"] }] },
      },
      // The packages are compiled already; their compiler options no longer apply.
      onLog: (level, log, handle) => log.code === "MODULE_LEVEL_DIRECTIVE" || handle(level, log),
    },
  },
});
