import react from "@vitejs/plugin-react";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const dist = join(import.meta.dirname, "dist");

/** Compresses the files of the bundle; the binary contains them as they are sent. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    buildStart() {
      for (const name of readdirSync(dist)) {
        if (name !== ".gitignore") rmSync(join(dist, name), { recursive: true });
      }
    },
    closeBundle() {
      for (const name of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
        const file = join(dist, name);
        if (name === ".gitignore" || statSync(file).isDirectory()) continue;
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
        rmSync(file);
      }
    },
  };
}

export default defineConfig({
  base: "/graphiql/",
  // The service prefixes its path to URLs in the page; all other URLs are relative to their file.
  experimental: { renderBuiltUrl: (_, { hostType }) => (hostType === "html" ? undefined : { relative: true }) },
  plugins: [react(), compressed()],
  build: {
    emptyOutDir: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      // The packages are compiled already; their compiler options no longer apply.
      onLog: (level, log, handle) => log.code === "MODULE_LEVEL_DIRECTIVE" || handle(level, log),
    },
  },
});
