import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The same settings that oc-web takes from its environment.
export default defineConfig({
  plugins: [react()],
  server: {
    allowedHosts: process.env.VITE_ALLOWED_HOSTS?.split(","),
    proxy: { "/api": { target: process.env.OPENCODE_SERVER_URL, changeOrigin: true, rewrite: (path) => path.replace(/^\/api/, "") } },
  },
});
