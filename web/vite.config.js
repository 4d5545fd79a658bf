import { defaultClientConditions, defineConfig } from "vite";

export default defineConfig({
  // Relative addresses: the page may lie in any folder of any host.
  base: "./",
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  assetsInclude: ["**/*.bin"],
  build: { assetsInlineLimit: 0, target: "es2022", modulePreload: { polyfill: false } },
  worker: { format: "es" },
  server: { fs: { allow: [".."] } },
});
