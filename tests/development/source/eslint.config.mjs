export default [{ files: ["**/*.mjs"], rules: { "no-undef": "error" } }];
